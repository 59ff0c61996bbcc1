import { getReplacement, orderReplacement } from '../../certificates/replacement/replace.ts'
import { NewReplacement, Replacement } from '../../certificates/replacement/schema.ts'
import { closed, Id } from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { idempotent } from '../idempotency.ts'
import { DryRun, writing } from '../rehearsal.ts'

const tags = ['certificates']

/** /v1/replacements */
export const replacements: Routes = {
  createReplacement(api, ctx) {
    api.post(
      '/replacements',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'replace-certificates',
          problems: ['authority-unknown', 'tenant-unknown'],
        },
        schema: {
          tags,
          summary: 'Order that many certificates are replaced: by authority, key, tenant or name',
          description:
            'Each is replaced as a renewal would, by the authority and key of today; hosts are delivered anew. For a key that is lost, or an authority that is to go.',
          querystring: DryRun,
          body: NewReplacement,
          response: { 202: Replacement },
        },
      },
      async (request, reply) =>
        reply
          .code(202)
          .send(await orderReplacement(writing(ctx, request), actorOf(request), request.body)),
    )
  },

  getReplacement(api, ctx) {
    api.get(
      '/replacements/:id',
      {
        config: { needs: 'read', problems: ['replacement-unknown'] },
        schema: {
          tags,
          summary: 'How far a replacement is',
          description: 'How many are replaced, how many are left, and what was refused.',
          params: closed({ id: Id }),
          response: { 200: Replacement },
        },
      },
      (request) => getReplacement(ctx, actorOf(request), request.params.id),
    )
  },
}
