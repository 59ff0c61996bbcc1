import Type from 'typebox'
import { listQuery, MadeSort } from '../../shared/lists/query.ts'
import {
  closed,
  exampleId,
  HostnameText,
  Id,
  moment,
  Name,
  nullable,
  Timestamp,
} from '../../shared/schema.ts'
import { AcmeProfile } from '../profiles.ts'

export const NewAcmeKey = closed(
  {
    name: Name,
    authority: Type.Optional(Name),
    names: Type.Optional(
      Type.Array(HostnameText, {
        maxItems: 100,
        description:
          'Domains within which alone it may order, themselves or below; left out: all of the tenant',
      }),
    ),
    profiles: Type.Optional(
      Type.Array(AcmeProfile, {
        minItems: 1,
        maxItems: 4,
        uniqueItems: true,
        description: 'Which profiles it may order; left out: all that the authority signs',
      }),
    ),
    preauthorized: Type.Optional(
      Type.Boolean({
        description:
          'Whether names of the tenant need no challenge (true): the platform has given the tenant its domains already',
      }),
    ),
    expiresAt: Type.Optional(moment('From when on it opens no further account; left out: never')),
  },
  {
    title: 'NewAcmeKey',
    examples: [{ name: 'web-servers', names: ['example.com'], preauthorized: true }],
  },
)
export type NewAcmeKey = Type.Static<typeof NewAcmeKey>

const fields = {
  id: Type.String({
    format: 'uuid',
    description: 'UUID; what clients call the key identifier (kid)',
    examples: [exampleId],
  }),
  tenant: Name,
  name: Name,
  authority: nullable(Name, 'null: every authority that the tenant may use'),
  names: Type.Array(Type.String(), { description: 'None: all names of the tenant' }),
  profiles: nullable(Type.Array(Type.String()), 'null: all that the authority signs'),
  preauthorized: Type.Boolean(),
  createdAt: Timestamp,
  createdBy: Type.String({ description: 'Name of who made it' }),
  expiresAt: nullable(Timestamp),
}

export const AcmeKey = closed(fields, { title: 'AcmeKey' })
export type AcmeKey = Type.Static<typeof AcmeKey>

export const AcmeKeyWithSecret = closed(
  {
    ...fields,
    hmacKey: Type.String({ description: 'base64url, as clients take it; shown this once' }),
  },
  { title: 'AcmeKeyWithSecret' },
)
export type AcmeKeyWithSecret = Type.Static<typeof AcmeKeyWithSecret>

/** Which keys are listed; all that is named must hold. */
export const AcmeKeyQuery = listQuery(MadeSort, { name: Type.Optional(Name) })
export type AcmeKeyQuery = Readonly<Type.Static<typeof AcmeKeyQuery>>

/** The status of an account (RFC 8555 7.1.6). */
export const AcmeAccountStatus = Type.Enum(['valid', 'deactivated', 'revoked'], {
  title: 'AcmeAccountStatus',
  description: 'deactivated: by its client; revoked: by its tenant, or with its key',
})

export const AcmeAccount = closed(
  {
    id: Id,
    tenant: Name,
    authority: Name,
    key: Type.String({ description: 'The name of the key that opened it' }),
    keyId: Id,
    status: AcmeAccountStatus,
    contact: Type.Array(Type.String()),
    thumbprint: Type.String({ description: 'Of the public key of its client (RFC 7638)' }),
    createdAt: Timestamp,
  },
  { title: 'AcmeAccount' },
)
export type AcmeAccount = Type.Static<typeof AcmeAccount>

/** Which accounts are listed; all that is named must hold. */
export const AcmeAccountQuery = listQuery(MadeSort, {
  status: Type.Optional(AcmeAccountStatus),
})
export type AcmeAccountQuery = Readonly<Type.Static<typeof AcmeAccountQuery>>
