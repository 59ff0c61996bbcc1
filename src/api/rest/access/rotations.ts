import { closed, Id, Name } from '../../../shared/schema.ts'
import { rotateApiKey } from '../../../tenants/apikeys/rotate.ts'
import { ApiKeyRotation, ApiKeyWithToken } from '../../../tenants/apikeys/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotent } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const schema = {
  tags: ['api keys'],
  querystring: DryRun,
  body: ApiKeyRotation,
  response: { 200: ApiKeyWithToken },
} as const

/** …/api-keys/{id}/rotate */
export const apiKeyRotations: Routes = {
  rotateTenantApiKey(api, ctx) {
    api.post(
      '/tenants/:tenant/api-keys/:id/rotate',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-api-keys',
          problems: ['tenant-unknown', 'api-key-unknown', 'api-key-changed'],
        },
        schema: {
          ...schema,
          summary: 'Give an API key a new token; the one before is good for a while yet',
          description:
            'The new token is in this answer and nowhere else. Id, name and rights stay; the token before is good for overlapSeconds.',
          params: closed({ tenant: Name, id: Id }),
        },
      },
      (request) =>
        rotateApiKey(writing(ctx, request), actorOf(request), {
          ...request.params,
          request: request.body,
        }),
    )
  },

  rotateApiKey(api, ctx) {
    api.post(
      '/api-keys/:id/rotate',
      {
        ...idempotent(ctx),
        config: {
          ...{ idempotent: true, platform: true },
          needs: 'write-api-keys',
          problems: ['api-key-unknown', 'api-key-changed'],
        },
        schema: {
          ...schema,
          summary:
            'Give a platform-wide API key a new token; the one before is good for a while yet',
          description:
            'The new token is in this answer and nowhere else. Id, name and rights stay; the token before is good for overlapSeconds.',
          params: closed({ id: Id }),
        },
      },
      (request) =>
        rotateApiKey(writing(ctx, request), actorOf(request), {
          ...{ tenant: null, id: request.params.id },
          request: request.body,
        }),
    )
  },
}
