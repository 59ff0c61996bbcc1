import Type from 'typebox'
import { closed, DistinguishedName, KeyAlgorithm, Name, Timestamp } from '../words/schema.ts'

const Outlive = Type.Enum(['truncate', 'refuse'], {
  description:
    'A certificate that would outlive its issuer is shortened (truncate) or not made (refuse)',
})

const OwnTenant = Type.Union([Name, Type.Null()], {
  description: 'The one tenant that may use it; null: every tenant',
})

export const NewAuthority = closed({
  name: Name,
  kind: Type.Enum(['root', 'intermediate']),
  parent: Type.Optional(Name),
  tenant: Type.Optional(OwnTenant),
  subject: DistinguishedName,
  keyAlgorithm: Type.Optional(KeyAlgorithm),
  validityDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 9131 })),
  outlive: Type.Optional(Outlive),
})
export type NewAuthority = Type.Static<typeof NewAuthority>

export const ImportedAuthority = closed({
  name: Name,
  tenant: Type.Optional(OwnTenant),
  certificate: Type.String({
    maxLength: 65_536,
    description: 'PEM: the CA certificate, then the certificates above it, if any',
  }),
  privateKey: Type.Optional(
    Type.String({
      maxLength: 32_768,
      description: 'PEM, unencrypted; sealed at rest. Left out: trusted, but signs nothing here',
    }),
  ),
  outlive: Type.Optional(Outlive),
})
export type ImportedAuthority = Type.Static<typeof ImportedAuthority>

export const Authority = closed(
  {
    name: Name,
    kind: Type.Enum(['root', 'intermediate']),
    parent: Type.Union([Name, Type.Null()]),
    tenant: OwnTenant,
    subject: DistinguishedName,
    keyAlgorithm: KeyAlgorithm,
    keyHeld: Type.Boolean({ description: 'Whether it can sign here' }),
    outlive: Outlive,
    serial: Type.String({ description: 'Lower-case hexadecimal' }),
    notBefore: Timestamp,
    notAfter: Timestamp,
    fingerprintSha256: Type.String(),
    pem: Type.String(),
    chainPem: Type.String({ description: 'The certificates above it, root last' }),
    createdAt: Timestamp,
  },
  { title: 'Authority' },
)
export type Authority = Type.Static<typeof Authority>
