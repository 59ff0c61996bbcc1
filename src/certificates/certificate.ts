import Type from 'typebox'
import { NewRevocation, Reason } from '../authorities/crl/revocation.ts'
import { Labels } from '../shared/lists/labels.ts'
import {
  closed,
  DistinguishedName,
  Id,
  KeyAlgorithm,
  Name,
  Profile,
  RequestedName,
  Timestamp,
} from '../shared/schema.ts'

const names = (maxItems: number) => Type.Array(Type.String({ maxLength: 512 }), { maxItems })

export const NewCertificate = closed(
  {
    profile: Profile,
    subject: Type.Optional(RequestedName),
    dnsNames: Type.Optional(names(100)),
    ipAddresses: Type.Optional(names(100)),
    emailAddresses: Type.Optional(names(100)),
    uris: Type.Optional(names(100)),
    keyAlgorithm: Type.Optional(KeyAlgorithm),
    validityDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650 })),
    authority: Type.Optional(Name),
    csr: Type.Optional(
      Type.String({
        maxLength: 131_072,
        description: 'PKCS#10 in PEM: the caller keeps the private key. Its names are merged in',
      }),
    ),
    autoRenew: Type.Optional(
      Type.Boolean({
        description:
          'Replaced by a new one, with a new key, when it is due (false): see replacedBy. Only for keys made here',
      }),
    ),
    labels: Type.Optional(Labels),
  },
  {
    title: 'NewCertificate',
    examples: [
      {
        profile: 'client',
        subject: { commonName: 'client.example.com', organization: 'client organization' },
        dnsNames: ['client.example.com'],
        validityDays: 30,
      },
    ],
  },
)
export type NewCertificate = Type.Static<typeof NewCertificate>

export const Renewal = closed(
  {
    csr: Type.Optional(
      Type.String({
        maxLength: 131_072,
        description:
          'PKCS#10 in PEM, where the caller keeps the key; left out: a new key is made here',
      }),
    ),
  },
  { title: 'NewRenewal', examples: [{}] },
)

export const CertificateRevocation = closed(
  {
    ...NewRevocation.properties,
    proof: Type.Optional(
      Type.String({
        maxLength: 131_072,
        description:
          'For keyCompromise of a key that other tenants hold too: a CSR signed by it whose commonName is the serial of the certificate. Without one only your own certificates are revoked',
      }),
    ),
  },
  { title: 'NewCertificateRevocation', examples: [{ reason: 'cessationOfOperation' }] },
)

export const Status = Type.Enum(['signing', 'active', 'expired', 'revoked'], {
  title: 'CertificateStatus',
})

/** Where a certificate comes from. */
export const Origin = Type.Enum(['issued', 'uploaded'], {
  title: 'CertificateOrigin',
  description:
    'issued: by an authority here; uploaded: by a CA elsewhere, which alone renews and revokes it',
})

export const Certificate = closed(
  {
    id: Id,
    tenant: Name,
    authority: Type.Union([Name, Type.Null()], {
      description: 'The authority that signed it; null: it was uploaded',
    }),
    origin: Origin,
    upload: Type.Union(
      [
        closed(
          {
            issuer: Type.String({ description: 'The name of who signed it' }),
            root: Type.String({ description: 'The name of the root that its chain leads to' }),
            publicRoot: Type.Boolean({
              description: 'Whether browsers know that root (Mozilla’s list)',
            }),
          },
          { title: 'CertificateUpload' },
        ),
        Type.Null(),
      ],
      { description: 'Of one that was uploaded; null: it was issued here' },
    ),
    host: Type.Union([Type.String(), Type.Null()], { description: 'The host it is made for' }),
    profile: Profile,
    status: Status,
    serial: Type.String({ description: 'Lower-case hexadecimal' }),
    subject: DistinguishedName,
    dnsNames: Type.Array(Type.String()),
    ipAddresses: Type.Array(Type.String()),
    emailAddresses: Type.Array(Type.String()),
    uris: Type.Array(Type.String()),
    leftOut: Type.Array(Type.String(), {
      description:
        'Of an uploaded one, which certificates came along and are not served. Else what its CSR asked for and was not granted, by name: extensions that were not critical, attributes, usages, and what of its subject the policy has left out (csrSubject)',
    }),
    keyAlgorithm: KeyAlgorithm,
    keySource: Type.Enum(['server', 'caller', 'uploaded'], { title: 'KeySource' }),
    notBefore: Timestamp,
    notAfter: Timestamp,
    fingerprintSha256: Type.Union([Type.String(), Type.Null()]),
    pem: Type.Union([Type.String(), Type.Null()]),
    chainPem: Type.String({ description: 'What a server sends after it: intermediates, no root' }),
    cause: Type.String({
      description:
        'requested, host, renewal, uploaded, or probe: made to prove MUTUAL hosts by, and left out of lists',
    }),
    replaces: Type.Union([Id, Type.Null()], { description: 'The one whose place it took' }),
    reason: Type.Union([Type.String(), Type.Null()], {
      description:
        'Why it took that place: revoked, ended, ordered, issuer-retired, policy, due, asked, or misfit, when its host asked for another',
    }),
    replacedBy: Type.Union([Id, Type.Null()], { description: 'The one that took its place' }),
    autoRenew: Type.Boolean({ description: 'Whether it is renewed without being asked' }),
    renewal: closed(
      {
        at: Type.Union([Timestamp, Type.Null()], {
          description: 'When it is, or was, to be renewed',
        }),
        attempts: Type.Integer({ description: 'How often that failed' }),
        lastError: Type.Union([Type.String(), Type.Null()]),
        nextAttempt: Type.Union([Timestamp, Type.Null()]),
      },
      { title: 'CertificateRenewal' },
    ),
    revokedAt: Type.Union([Timestamp, Type.Null()]),
    revocationReason: Type.Union([Reason, Type.Null()]),
    labels: Labels,
    createdAt: Timestamp,
  },
  { title: 'Certificate' },
)
export type Certificate = Type.Static<typeof Certificate>
