import { createHash, randomBytes } from 'node:crypto'
import Type from 'typebox'
import { closed, Id, moment, Name, Role, Timestamp } from '../../shared/schema.ts'

export const NewApiKey = closed({
  name: Name,
  role: Role,
  expiresAt: Type.Optional(moment('From when on it opens nothing')),
})
export type NewApiKey = Type.Static<typeof NewApiKey>

const fields = {
  id: Id,
  name: Name,
  role: Role,
  tenant: Type.Union([Name, Type.Null()], { description: 'null: platform-wide' }),
  createdAt: Timestamp,
  expiresAt: Type.Union([Timestamp, Type.Null()]),
}

export const ApiKey = closed(fields, { title: 'ApiKey' })
export type ApiKey = Type.Static<typeof ApiKey>

export const ApiKeyWithToken = closed(
  { ...fields, token: Type.String({ description: 'Shown this once' }) },
  { title: 'ApiKeyWithToken' },
)
export type ApiKeyWithToken = Type.Static<typeof ApiKeyWithToken>

/** A new bearer token: 256 random bits under a prefix that secret scanners can look for. */
export function newToken(): string {
  return `gsm_${randomBytes(32).toString('base64url')}`
}

/** What is stored of a token. It has full entropy, so one plain hash is enough: there is nothing to
 *  guess that a slow hash would protect. */
export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
