import Type from 'typebox'
import {
  BlockedKeyQuery,
  blockKey,
  listBlockedKeys,
  unblockKey,
} from '../../../authorities/keys/blocked.ts'
import { BlockedKey, NewBlockedKey, SpkiSha256 } from '../../../authorities/keys/blockedkey.ts'
import { ListOf } from '../../../shared/lists/query.ts'
import { closed } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotent } from '../../idempotency.ts'
import { problemResponse } from '../../openapi.ts'

const tags = ['blocked keys']

/** /v1/blocked-keys, for the platform */
export const blockedKeys: Routes = {
  createBlockedKey(api, ctx) {
    api.post(
      '/blocked-keys',
      {
        ...idempotent(ctx),
        config: { needs: 'block-keys', platform: true },
        schema: {
          tags,
          summary:
            'Block a public key for good: its certificates are revoked, none is made any more',
          body: NewBlockedKey,
          response: { 201: BlockedKey, ...problemResponse },
        },
      },
      async (request, reply) =>
        reply.code(201).send(await blockKey(ctx, actorOf(request), request.body)),
    )
  },

  listBlockedKeys(api, ctx) {
    api.get(
      '/blocked-keys',
      {
        config: { needs: 'read', platform: true },
        schema: {
          tags,
          summary: 'List the blocked keys, oldest first',
          querystring: BlockedKeyQuery,
          response: { 200: ListOf(BlockedKey), ...problemResponse },
        },
      },
      (request) => listBlockedKeys(ctx, actorOf(request), request.query),
    )
  },

  deleteBlockedKey(api, ctx) {
    api.delete(
      '/blocked-keys/:spkiSha256',
      {
        config: { needs: 'block-keys', platform: true },
        schema: {
          tags,
          summary: 'Lift a block; what was revoked stays revoked',
          params: closed({ spkiSha256: SpkiSha256 }),
          response: { 204: Type.Null(), ...problemResponse },
        },
      },
      async (request, reply) => {
        await unblockKey(ctx, actorOf(request), request.params.spkiSha256)
        return reply.code(204).send(null)
      },
    )
  },
}
