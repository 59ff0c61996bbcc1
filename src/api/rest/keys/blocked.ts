import Type from 'typebox'
import {
  BlockedKeyQuery,
  blockKey,
  getBlockedKey,
  listBlockedKeys,
  unblockKey,
} from '../../../authorities/keys/blocked.ts'
import { BlockedKey, NewBlockedKey, SpkiSha256 } from '../../../authorities/keys/blockedkey.ts'
import { ListOf } from '../../../shared/lists/query.ts'
import { closed } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotent } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const tags = ['blocked keys']

/** /v1/blocked-keys, for the platform */
export const blockedKeys: Routes = {
  createBlockedKey(api, ctx) {
    api.post(
      '/blocked-keys',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'block-keys',
          platform: true,
          problems: ['blocked-key-exists', 'key-refused'],
        },
        schema: {
          tags,
          summary:
            'Block a public key for good: its certificates are revoked, none is made any more',
          description:
            'By a certificate, a CSR or a public key in PEM, or by the hash of the public key. Revocation begins at once.',
          querystring: DryRun,
          body: NewBlockedKey,
          response: { 201: BlockedKey },
        },
      },
      async (request, reply) =>
        reply.code(201).send(await blockKey(writing(ctx, request), actorOf(request), request.body)),
    )
  },

  listBlockedKeys(api, ctx) {
    api.get(
      '/blocked-keys',
      {
        config: { needs: 'read', platform: true, problems: ['cursor-refused'] },
        schema: {
          tags,
          summary: 'List the blocked keys, oldest first',
          description:
            'With the reason of each. With limit and cursor; nextCursor is null on the last page.',
          querystring: BlockedKeyQuery,
          response: { 200: ListOf(BlockedKey) },
        },
      },
      (request) => listBlockedKeys(ctx, actorOf(request), request.query),
    )
  },

  getBlockedKey(api, ctx) {
    api.get(
      '/blocked-keys/:spkiSha256',
      {
        config: { needs: 'read', platform: true, problems: ['blocked-key-unknown'] },
        schema: {
          tags,
          summary: 'Read why a key is blocked, since when and by whom',
          description: 'By the SHA-256 of its SubjectPublicKeyInfo.',
          params: closed({ spkiSha256: SpkiSha256 }),
          response: { 200: BlockedKey },
        },
      },
      (request) => getBlockedKey(ctx, actorOf(request), request.params.spkiSha256),
    )
  },

  deleteBlockedKey(api, ctx) {
    api.delete(
      '/blocked-keys/:spkiSha256',
      {
        config: { needs: 'block-keys', platform: true, problems: ['blocked-key-unknown'] },
        schema: {
          tags,
          summary: 'Lift a block; what was revoked stays revoked',
          description: 'The key may be certified again.',
          params: closed({ spkiSha256: SpkiSha256 }),
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await unblockKey(writing(ctx, request), actorOf(request), request.params.spkiSha256)
        return reply.code(204).send(null)
      },
    )
  },
}
