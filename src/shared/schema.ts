import Type from 'typebox'

/** A closed object: a misspelt field is refused instead of vanishing. */
export function closed<P extends Type.TProperties>(
  properties: P,
  options: Type.TObjectOptions = {},
) {
  return Type.Object(properties, { additionalProperties: false, ...options })
}

/** The same, or null. */
export function nullable<T extends Type.TSchema>(schema: T, description?: string) {
  return Type.Union([schema, Type.Null()], description === undefined ? {} : { description })
}

export const Id = Type.String({ format: 'uuid', description: 'UUID' })

/** Whether a text is an id as they are made here, in lower case. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}

/** The pattern of text without control characters: PostgreSQL knows no NUL. */
export const plainText = '^[^\\u0000-\\u001f\\u007f]+$'

/** A moment as it is answered. */
export const Timestamp = Type.String({ format: 'date-time', description: 'RFC 3339, UTC' })

/** A moment as it is asked for; what of RFC 3339 cannot be kept is refused (src/shared/moment.ts). */
export function moment(description: string) {
  return Type.String({
    format: 'date-time',
    maxLength: 40,
    description: `${description}; RFC 3339, in UTC within the years 1 to 9999, no leap second`,
  })
}

/** A body of octets that is no JSON. */
export const Octets = Type.Unsafe<Buffer>({ type: 'string', format: 'binary' })

/** The header in which the password of a store comes: URLs are logged on the way. */
export const BundlePassword = Type.Object({
  'x-bundle-password': Type.Optional(Type.String({ maxLength: 1024 })),
})

/** How the encryption of a PKCS#12 store is chosen. */
export const StoreCompatibility = Type.Enum(['modern', 'legacy'], {
  title: 'StoreCompatibility',
  description:
    'modern (the default): AES-256 and SHA-256, as OpenSSL 3 and Java 17 open it; legacy: 3DES and SHA-1, for macOS and for Windows and Java of before, which refuse what is modern. What is legacy protects little: choose a long password',
})

/** The name of a tenant, an authority, a cluster or an API key: an RFC 1123 label, since most end up
 *  as a part of a Kubernetes name or a URL. */
export const Name = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  maxLength: 63,
  description: 'RFC 1123 label: lower-case letters, digits and hyphens',
})

/** A Kubernetes namespace (RFC 1123 label). */
export const Namespace = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  maxLength: 63,
  description: 'A Kubernetes namespace',
})

/** A host name as sent: at most 255 characters of text; what is a name is decided by
 *  src/hosts/request/hostname.ts and src/x509/names/altnames.ts, which say what is wrong with it. */
export const HostnameText = Type.String({
  minLength: 1,
  maxLength: 255,
  description: 'A DNS name, also with *. in front',
})

export const Role = Type.Enum(['admin', 'operator', 'viewer', 'auditor'], { title: 'Role' })
export type Role = Type.Static<typeof Role>

const written = (maxLength: number) => Type.Optional(Type.String({ minLength: 1, maxLength }))

/** A subject as it may be asked for (RFC 5280 A.1, upper bounds). */
export const RequestedName = closed(
  {
    commonName: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    organization: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    organizationalUnit: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    country: Type.Optional(Type.String({ pattern: '^[A-Z]{2}$', description: 'ISO 3166-1' })),
    locality: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    state: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    organizationalUnits: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        minItems: 1,
        maxItems: 16,
        description:
          'All of them in order where there are several; organizationalUnit is the first',
      }),
    ),
    domainComponents: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 63 }), {
        minItems: 1,
        maxItems: 16,
        description: 'In the order of the encoding, the most general first: com, example',
      }),
    ),
    street: written(128),
    title: written(64),
    givenName: written(128),
    surname: written(128),
    userId: written(256),
    serialNumber: Type.Optional(
      Type.String({ pattern: "^[A-Za-z0-9 '()+,./:=?-]{1,64}$", description: 'Of the subject' }),
    ),
  },
  { title: 'RequestedName' },
)
export type DistinguishedName = Type.Static<typeof RequestedName>

const shownText = Type.Optional(Type.String())

/** A subject as it is: CAs elsewhere keep to bounds of their own. */
export const DistinguishedName = closed(
  {
    commonName: shownText,
    organization: shownText,
    organizationalUnit: shownText,
    country: shownText,
    locality: shownText,
    state: shownText,
    organizationalUnits: Type.Optional(
      Type.Array(Type.String(), {
        description:
          'All of them in order where there are several; organizationalUnit is the first',
      }),
    ),
    domainComponents: Type.Optional(
      Type.Array(Type.String(), {
        description: 'In the order of the encoding, the most general first: com, example',
      }),
    ),
    street: shownText,
    title: shownText,
    givenName: shownText,
    surname: shownText,
    userId: shownText,
    serialNumber: shownText,
    emailAddress: shownText,
  },
  { title: 'DistinguishedName' },
)

export const KeyAlgorithm = Type.Enum(
  ['ECDSA_P256', 'ECDSA_P384', 'RSA_2048', 'RSA_3072', 'RSA_4096', 'ED25519'],
  { title: 'KeyAlgorithm' },
)

/** Of authorities: CAs made elsewhere may have one more. */
export const AuthorityKeyAlgorithm = Type.Enum(
  ['ECDSA_P256', 'ECDSA_P384', 'RSA_2048', 'RSA_3072', 'RSA_4096', 'ED25519', 'ECDSA_P521'],
  { title: 'AuthorityKeyAlgorithm' },
)

/** What a leaf is for. */
export const Profile = Type.Enum(['server', 'client', 'peer'], {
  title: 'Profile',
  description: 'What it is for (extended key usage); peer is server and client',
})
export type Profile = Type.Static<typeof Profile>

/** What an event or an audit event is about. */
export const SubjectRef = closed(
  { kind: Type.String(), id: Type.String(), name: Type.String() },
  { title: 'SubjectRef', description: 'What it is about' },
)

/** `limit` and `cursor` of every list (the cursor is opaque). */
export const PageQuery = closed({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
  cursor: Type.Optional(Type.String({ maxLength: 512 })),
})
export type PageQuery = { readonly limit?: number; readonly cursor?: string }

export type Page<T> = { readonly items: T[]; readonly nextCursor: string | null }

/** The name of a list of what has this schema. */
export function listTitle(item: Type.TSchema): string {
  if (!('title' in item)) throw new Error('What lists hold has a name')
  return `${item.title}List`
}

/** A page of `item`: `nextCursor` is null on the last one. */
export function PageOf<T extends Type.TSchema>(item: T) {
  return closed(
    {
      items: Type.Array(item),
      nextCursor: Type.Union([Type.String(), Type.Null()], {
        description: 'Send it as cursor for the next page; null: this is the last',
      }),
    },
    { title: listTitle(item) },
  )
}

/** A problem document (RFC 9457) as answered. */
export const ProblemDocument = Type.Object(
  {
    type: Type.String({ format: 'uri' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.Optional(Type.String({ description: 'The id of the request' })),
    violations: Type.Optional(
      Type.Array(
        closed(
          {
            field: Type.String({ description: 'JSON Pointer into the body (RFC 6901)' }),
            message: Type.String({ description: 'What is wrong with it, and what would do' }),
          },
          { title: 'Violation' },
        ),
        { description: 'Everything that is wrong with the request, at once' },
      ),
    ),
  },
  { additionalProperties: true, title: 'Problem' },
)

/** A CA certificate for examples in the contract: CN=example.com, O=example Inc., whose key is nowhere. */
export const examplePem = `-----BEGIN CERTIFICATE-----
MIIBvzCCAWWgAwIBAgIUAtP83ShBvxFY50KNwF7bgDg6ZlgwCgYIKoZIzj0EAwIw
LTEUMBIGA1UEAwwLZXhhbXBsZS5jb20xFTATBgNVBAoMDGV4YW1wbGUgSW5jLjAe
Fw0yNjExMjYyMDE1MjNaFw00NjExMjEyMDE1MjNaMC0xFDASBgNVBAMMC2V4YW1w
bGUuY29tMRUwEwYDVQQKDAxleGFtcGxlIEluYy4wWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATtFRaXl5sWfrPPfKQZ2p5D/Bb0fnFJKvbcL6xta1yy+ou/hcJevUSO
xHn1eNQhyRAvfSWrz+F1SloXPm+WfjE5o2MwYTAdBgNVHQ4EFgQUGePg9d/0VRpm
pUjnXgBp/+EL0AEwHwYDVR0jBBgwFoAUGePg9d/0VRpmpUjnXgBp/+EL0AEwDwYD
VR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZIzj0EAwIDSAAwRQIg
ONujFPofGBtCDRWSUumiYwP0h7CRwLHzOMjzxiA5P7cCIQCDsfhiCY87HAeAXqiX
pZX2T4vl1KzK1vdHlfwRQuM70g==
-----END CERTIFICATE-----
`

/** An id for examples. */
export const exampleId = '018f6a3c-1d2e-7b4a-9c5d-6e7f80912345'
