import Type from 'typebox'
import { Scope } from '../../core/actor.ts'
import {
  closed,
  Id,
  moment,
  Name,
  nullable,
  plainText,
  Role,
  Timestamp,
} from '../../shared/schema.ts'

const scopes = Type.Array(Scope, {
  minItems: 1,
  maxItems: 20,
  uniqueItems: true,
  description: 'What of its role it may use; left out: all of it',
})

const expiresAt = Type.Optional(
  moment('From when on it opens nothing; left out: as late as the settings allow'),
)

export const NewApiKey = closed(
  {
    name: Name,
    role: Role,
    scopes: Type.Optional(scopes),
    expiresAt,
  },
  {
    title: 'NewApiKey',
    examples: [{ name: 'portal', role: 'operator', expiresAt: '2030-01-01T00:00:00Z' }],
  },
)
export type NewApiKey = Type.Static<typeof NewApiKey>

export const ApiKeyPatch = closed(
  {
    name: Type.Optional(Name),
    scopes: Type.Optional(nullable(scopes)),
    expiresAt: Type.Optional(nullable(moment('From when on it opens nothing'))),
  },
  { title: 'ApiKeyPatch', examples: [{ name: 'portal-two' }] },
)
export type ApiKeyPatch = Type.Static<typeof ApiKeyPatch>

export const ApiKeyRotation = closed(
  {
    overlapSeconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 2_592_000,
        description:
          'How long the token before is still good, at most until it would have ended (86400, a day)',
      }),
    ),
    expiresAt: Type.Optional(
      moment('From when on the new token opens nothing; left out: after as long as the one before'),
    ),
  },
  { title: 'ApiKeyRotation', examples: [{ overlapSeconds: 3600 }] },
)
export type ApiKeyRotation = Type.Static<typeof ApiKeyRotation>

export const CertificateBinding = closed(
  {
    fingerprintSha256: Type.Optional(
      Type.String({ pattern: '^[0-9a-f]{64}$', description: 'This one certificate' }),
    ),
    uri: Type.Optional(
      Type.String({ pattern: '^[\\x21-\\x7e]{1,512}$', description: 'As spiffe://example.com/ci' }),
    ),
    dnsName: Type.Optional(Type.String({ pattern: '^[a-z0-9*._-]{1,253}$' })),
    commonName: Type.Optional(Type.String({ pattern: plainText, maxLength: 64 })),
  },
  {
    title: 'CertificateBinding',
    minProperties: 1,
    maxProperties: 1,
    description:
      'The client certificates that open it: of this tenant, with this name, issued here, and neither revoked nor ended',
  },
)
export type CertificateBinding = Type.Static<typeof CertificateBinding>

export const NewCertificateKey = closed(
  {
    name: Name,
    role: Type.Enum(['operator', 'viewer'], {
      title: 'CertificateRole',
      description: 'Not more than who has certificates issued may do anyway',
    }),
    scopes: NewApiKey.properties.scopes,
    expiresAt,
    certificate: CertificateBinding,
  },
  {
    title: 'NewCertificateKey',
    examples: [
      {
        name: 'bot',
        role: 'viewer',
        certificate: { dnsName: 'bot.example.com' },
      },
    ],
  },
)
export type NewCertificateKey = Type.Static<typeof NewCertificateKey>

const fields = {
  id: Id,
  name: Name,
  role: Role,
  scopes: nullable(
    Type.Array(Type.String(), {
      description: 'What of its role it may use; null: all of it',
    }),
  ),
  tenant: Type.Union([Name, Type.Null()], { description: 'null: platform-wide' }),
  prefix: nullable(
    Type.String({ description: 'How its token begins; null: it has none, or is older than this' }),
  ),
  certificate: nullable(CertificateBinding, 'What opens it instead of a token; null: a token'),
  createdAt: Timestamp,
  createdBy: nullable(Type.String({ description: 'Name of who made it' })),
  rotatedAt: nullable(Timestamp),
  expiresAt: Type.Union([Timestamp, Type.Null()]),
  formerUntil: Type.Union([Timestamp, Type.Null()], {
    description: 'Until when the token before the last rotation is good',
  }),
  lastUsedAt: Type.Union([Timestamp, Type.Null()], { description: 'To the minute' }),
  lastUsedFrom: nullable(Type.String({ description: 'From which address' })),
}

export const ApiKey = closed(fields, { title: 'ApiKey' })
export type ApiKey = Type.Static<typeof ApiKey>

export const ApiKeyWithToken = closed(
  { ...fields, token: Type.String({ description: 'Shown this once' }) },
  { title: 'ApiKeyWithToken' },
)
export type ApiKeyWithToken = Type.Static<typeof ApiKeyWithToken>
