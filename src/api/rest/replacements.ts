import { getReplacement, orderReplacement } from '../../certificates/replacement/replace.ts'
import { NewReplacement, Replacement } from '../../certificates/replacement/schema.ts'
import { closed, Id } from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { idempotent } from '../idempotency.ts'
import { problemResponse } from '../openapi.ts'

const tags = ['certificates']

/** /v1/replacements */
export const replacements: Routes = {
  createReplacement(api, ctx) {
    api.post(
      '/replacements',
      {
        ...idempotent(ctx),
        config: { needs: 'replace-certificates' },
        schema: {
          tags,
          summary: 'Order that many certificates are replaced: by authority, key, tenant or name',
          body: NewReplacement,
          response: { 202: Replacement, ...problemResponse },
        },
      },
      async (request, reply) =>
        reply.code(202).send(await orderReplacement(ctx, actorOf(request), request.body)),
    )
  },

  getReplacement(api, ctx) {
    api.get(
      '/replacements/:id',
      {
        config: { needs: 'read' },
        schema: {
          tags,
          summary: 'How far a replacement is',
          params: closed({ id: Id }),
          response: { 200: Replacement, ...problemResponse },
        },
      },
      (request) => getReplacement(ctx, actorOf(request), request.params.id),
    )
  },
}
