import Type from 'typebox'
import type { Subject } from '../audit/record.ts'
import { Problem } from '../shared/problem.ts'
import {
  AuthorityKeyAlgorithm,
  closed,
  DistinguishedName,
  examplePem,
  KeyAlgorithm,
  Name,
  Profile,
  RequestedName,
  Timestamp,
} from '../shared/schema.ts'
import { CaAccountView, changedCa, newCa } from './acme/schema.ts'

const Kind = Type.Enum(['root', 'intermediate', 'acme'], {
  title: 'AuthorityKind',
  description:
    'root and intermediate sign here; acme is a CA elsewhere that certifies hosts by RFC 8555',
})

const Outlive = Type.Enum(['truncate', 'refuse'], {
  title: 'OutlivePolicy',
  description:
    'A certificate that would outlive its issuer is shortened (truncate) or not made (refuse)',
})

const OwnTenant = Type.Union([Name, Type.Null()], {
  description: 'The one tenant that may use it; null: every tenant',
})

const spaces = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100, description }),
  )

const subtrees = {
  dnsNames: spaces('example.com: itself and all below it'),
  ipRanges: spaces('10.0.0.0/8, fd00::/8'),
  emailAddresses: spaces(
    'user@example.com, example.com (that host), .example.com (hosts below it)',
  ),
  uriHosts: spaces('example.com (that host), .example.com (hosts below it)'),
}

const RequestedSubtrees = closed(subtrees, { title: 'RequestedSubtrees' })

/** What an authority is called in the table while its account with a CA elsewhere is being ended, and nobody else knows
 *  of it any more. No name has a slash. */
export function leavingName(name: string, id: string): string {
  return `${name}/${id}`
}

/** What it was called. */
export function nameBefore(name: string): string {
  return name.split('/')[0] ?? name
}

/** Name constraints as they are asked for; those of a certificate are in src/x509/constraints. */
export const RequestedConstraints = closed(
  { permitted: Type.Optional(RequestedSubtrees), excluded: Type.Optional(RequestedSubtrees) },
  {
    title: 'RequestedNameConstraints',
    description:
      'Names it may certify, for its whole lifetime (RFC 5280 4.2.1.10): a kind with nothing permitted is free, what is excluded is refused in any case. What the authorities above are held to is added',
  },
)
export type RequestedConstraints = Type.Static<typeof RequestedConstraints>

const heldSpace = Type.Optional(Type.Array(Type.String()))

/** Names as a certificate holds them: a CA elsewhere keeps to bounds of its own. */
const heldSubtrees = Type.Optional(
  closed(
    {
      dnsNames: heldSpace,
      ipRanges: heldSpace,
      emailAddresses: heldSpace,
      uriHosts: heldSpace,
      directoryNames: heldSpace,
    },
    { title: 'NameSubtrees' },
  ),
)

const CrlShards = Type.Integer({
  minimum: 1,
  maximum: 256,
  description:
    'How many revocation lists share its server certificates (1): each is so much shorter. Client and peer certificates are on a list of their tenant',
})

const ListOverflow = Type.Enum(['refuse', 'tell'], {
  title: 'ListOverflow',
  description:
    'When the clients that were revoked outgrow what the Secret of a gateway has room for (1 MiB): every client is refused (refuse, the default), or the last list that fitted is kept until it ends, a week at most, and every host says so (tell)',
})

const ApprovalPolicy = Type.Enum(['one-person', 'two-people'], {
  title: 'ApprovalPolicy',
  description:
    'Whether one person decides about a change of its key, its removal included (one-person, the default), or one asks for it and another approves it (two-people)',
})

const TokenKey = closed(
  {
    pkcs11: Type.Union([
      closed(
        {
          label: Type.String({
            minLength: 1,
            maxLength: 64,
            description: 'The key of this label; made in the token if there is none',
          }),
        },
        { title: 'TokenKeyLabel' },
      ),
      closed(
        {
          uri: Type.String({
            maxLength: 512,
            description:
              'A key that is there, as pkcs11:token=…;object=…;id=%01 (RFC 7512), no PIN',
          }),
        },
        { title: 'TokenKeyUri' },
      ),
    ]),
  },
  {
    title: 'TokenKey',
    description: 'A key that lives in the token of this service, instead of being sealed here',
  },
)

const limits = {
  maxValidityDays: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 3650, description: 'Longest leaf it signs' }),
  ),
  defaultValidityDays: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 3650, description: 'A leaf that asks for none gets (90)' }),
  ),
  profiles: Type.Optional(
    Type.Array(Profile, {
      minItems: 1,
      maxItems: 3,
      uniqueItems: true,
      description: 'What its leaves may be for (all)',
    }),
  ),
}

const DisplayName = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'What people call it (its name)',
})

export const NewAuthority = closed(
  {
    name: Name,
    displayName: Type.Optional(DisplayName),
    kind: Kind,
    parent: Type.Optional(Name),
    tenant: Type.Optional(OwnTenant),
    subject: Type.Optional(RequestedName),
    keyAlgorithm: Type.Optional(KeyAlgorithm),
    validityDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 9131 })),
    key: Type.Optional(TokenKey),
    outlive: Type.Optional(Outlive),
    pathLength: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 8,
        description: 'How many authorities may follow below it (a root: any; an intermediate: 0)',
      }),
    ),
    nameConstraints: Type.Optional(RequestedConstraints),
    crlShards: Type.Optional(CrlShards),
    listOverflow: Type.Optional(ListOverflow),
    approval: Type.Optional(ApprovalPolicy),
    ...limits,
    ...newCa,
  },
  {
    title: 'NewAuthority',
    examples: [
      {
        name: 'example-root',
        kind: 'root',
        subject: { commonName: 'example.com', organization: 'example Inc.' },
        validityDays: 3650,
      },
      {
        name: 'example-issuing',
        kind: 'intermediate',
        parent: 'example-root',
        subject: { commonName: 'example issuing', organization: 'example Inc.' },
        maxValidityDays: 397,
      },
      {
        name: 'public',
        kind: 'acme',
        directory: 'https://acme.example.com/directory',
        contact: ['pki@example.com'],
        challenge: { type: 'http-01' },
        termsOfServiceAgreed: true,
      },
    ],
  },
)
export type NewAuthority = Type.Static<typeof NewAuthority>

export const ImportedAuthority = closed(
  {
    name: Name,
    displayName: Type.Optional(DisplayName),
    tenant: Type.Optional(OwnTenant),
    certificate: Type.Optional(
      Type.String({
        maxLength: 65_536,
        description:
          'PEM: the CA certificate, and those above it if they are not known here, in any order. A private key may be beside them',
      }),
    ),
    privateKey: Type.Optional(
      Type.String({
        maxLength: 32_768,
        description:
          'PEM: PKCS#8, PKCS#1 or SEC 1, also encrypted; sealed at rest. Left out: trusted, but signs nothing here',
      }),
    ),
    pkcs12: Type.Optional(
      Type.String({
        maxLength: 262_144,
        description: 'Instead of both: a PKCS#12 store (.p12, .pfx) in base64',
      }),
    ),
    passphrase: Type.Optional(
      Type.String({ maxLength: 1024, description: 'Of the store, or of the private key' }),
    ),
    key: Type.Optional(TokenKey),
    outlive: Type.Optional(Outlive),
    crlShards: Type.Optional(CrlShards),
    listOverflow: Type.Optional(ListOverflow),
    approval: Type.Optional(ApprovalPolicy),
    ...limits,
  },
  { title: 'ImportedAuthority', examples: [{ name: 'example-old', certificate: examplePem }] },
)
export type ImportedAuthority = Type.Static<typeof ImportedAuthority>

const nullable = <T extends Type.TSchema>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

export const AuthorityPatch = closed(
  {
    displayName: nullable(DisplayName),
    maxValidityDays: nullable(Type.Integer({ minimum: 1, maximum: 3650 })),
    defaultValidityDays: nullable(Type.Integer({ minimum: 1, maximum: 3650 })),
    profiles: limits.profiles,
    outlive: Type.Optional(Outlive),
    listOverflow: Type.Optional(ListOverflow),
    approval: Type.Optional(ApprovalPolicy),
    ...changedCa,
    retired: Type.Optional(
      Type.Boolean({
        description:
          'true: it signs nothing new and goes on signing revocation lists and OCSP answers; false: it signs again',
      }),
    ),
  },
  {
    title: 'AuthorityPatch',
    examples: [{ displayName: 'Certificates of example.com', maxValidityDays: 180 }],
  },
)
export type AuthorityPatch = Type.Static<typeof AuthorityPatch>

const FullList = closed(
  {
    state: Type.Enum(['near', 'over'], { title: 'FullListState' }),
    tenant: Type.Union([Name, Type.Null()], {
      description: 'Whose clients are on it; null: everybody’s',
    }),
    entries: Type.Integer({ description: 'Revoked clients that have not ended' }),
    octets: Type.Integer({ description: 'Its length in a Secret' }),
    room: Type.Integer({ description: 'What a Secret has room for' }),
    message: Type.String({ description: 'What it means, and what to do' }),
  },
  { title: 'FullList' },
)
export type FullList = Type.Static<typeof FullList>

/** The revocation lists of an authority, all of them together. */
const RevocationLists = closed(
  {
    count: Type.Integer({ description: 'How many lists there are' }),
    entries: Type.Integer({ description: 'Certificates on them' }),
    publishedAt: Type.String({
      format: 'date-time',
      description: 'When the oldest of them was published (thisUpdate)',
    }),
    staleAt: Type.String({
      format: 'date-time',
      description: 'When the first of them is to be relied on no longer (nextUpdate)',
    }),
  },
  { title: 'RevocationLists' },
)
export type RevocationLists = Type.Static<typeof RevocationLists>

/** Null: a CA elsewhere, of whose certificates nothing is known beforehand. */
function ofIssuer<Schema extends Type.TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()])
}

export const Authority = closed(
  {
    name: Name,
    displayName: Type.String(),
    kind: Kind,
    parent: Type.Union([Name, Type.Null()]),
    tenant: OwnTenant,
    subject: DistinguishedName,
    keyAlgorithm: Type.Union([AuthorityKeyAlgorithm, Type.Null()]),
    keyHeld: Type.Boolean({ description: 'Whether it can sign here' }),
    keyStore: Type.Enum(['sealed', 'pkcs11', 'absent'], {
      title: 'KeyStore',
      description: 'Where its key is: sealed in the database, in a token, or not here',
    }),
    outlive: Outlive,
    crlShards: CrlShards,
    listOverflow: ListOverflow,
    approval: ApprovalPolicy,
    fullLists: Type.Array(FullList, {
      description:
        'Lists of revoked clients that come near what the Secret of a gateway has room for, or have outgrown it',
    }),
    lists: Type.Union([RevocationLists, Type.Null()], {
      description: 'What its keys have published of revocations; null: nothing',
    }),
    pathLength: Type.Union([Type.Integer(), Type.Null()]),
    nameConstraints: Type.Union([
      closed({ permitted: heldSubtrees, excluded: heldSubtrees }, { title: 'NameConstraints' }),
      Type.Null(),
    ]),
    signsLists: Type.Boolean({
      description:
        'Whether its certificate allows it to sign revocation lists. If not, there are none, OCSP alone tells of revocations, and no MUTUAL host can let in its clients',
    }),
    maxValidityDays: Type.Union([Type.Integer(), Type.Null()]),
    defaultValidityDays: Type.Union([Type.Integer(), Type.Null()]),
    profiles: Type.Array(Profile),
    serial: ofIssuer(Type.String({ description: 'Lower-case hexadecimal' })),
    notBefore: ofIssuer(Timestamp),
    notAfter: ofIssuer(Timestamp),
    fingerprintSha256: ofIssuer(Type.String()),
    pem: Type.String(),
    chainPem: Type.String({ description: 'The certificates above it, root last' }),
    acme: Type.Union([CaAccountView, Type.Null()], {
      description:
        'acme: the account with the CA elsewhere, which has no certificate here; null: it signs here',
    }),
    retiredAt: Type.Union([Timestamp, Type.Null()], {
      description: 'Since when it signs nothing new; null: it signs',
    }),
    createdAt: Timestamp,
  },
  { title: 'Authority' },
)
export type Authority = Type.Static<typeof Authority>

/** An authority as the audit trail names it. */
export function authoritySubject(authority: {
  readonly id: string
  readonly name: string
  readonly tenantId: string | null
}): Subject {
  const { id, name, tenantId } = authority
  return { kind: 'authority', id, name, tenantId }
}

/** The problem of a request that names an authority which is not there, or is another tenant's. */
export function authorityUnknown(name: string): Problem {
  return new Problem('authority-unknown', `There is no authority "${name}"`)
}
