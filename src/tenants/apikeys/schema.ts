import Type from 'typebox'
import { Scope } from '../../core/actor.ts'
import { closed, Id, moment, Name, nullable, Role, Timestamp } from '../../shared/schema.ts'

const expiresAt = Type.Optional(
  moment('From when on it opens nothing; left out: as late as the settings allow'),
)

export const NewApiKey = closed(
  {
    name: Name,
    role: Role,
    scopes: Type.Optional(
      Type.Array(Scope, {
        minItems: 1,
        maxItems: 20,
        uniqueItems: true,
        description: 'What of its role it may use; left out: all of it',
      }),
    ),
    expiresAt,
  },
  { title: 'NewApiKey' },
)
export type NewApiKey = Type.Static<typeof NewApiKey>

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
  { title: 'ApiKeyRotation' },
)
export type ApiKeyRotation = Type.Static<typeof ApiKeyRotation>

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
    Type.String({ description: 'How its token begins; null: made before this was kept' }),
  ),
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
