import Type from 'typebox'
import { ListOf } from '../../shared/lists/query.ts'
import { closed, Id, Name } from '../../shared/schema.ts'
import {
  ApiKeyQuery,
  createApiKey,
  createCertificateKey,
  listApiKeys,
  revokeApiKey,
} from '../../tenants/apikeys/lifecycle.ts'
import {
  ApiKey,
  ApiKeyWithToken,
  NewApiKey,
  NewCertificateKey,
} from '../../tenants/apikeys/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { idempotent } from '../idempotency.ts'
import { DryRun, writing } from '../rehearsal.ts'

const tags = ['api keys']
const params = closed({ tenant: Name })

/** /v1/tenants/{tenant}/api-keys for a tenant's, /v1/api-keys for platform-wide ones. */
export const apiKeys: Routes = {
  createTenantApiKey(api, ctx) {
    api.post(
      '/tenants/:tenant/api-keys',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-api-keys',
          problems: ['tenant-unknown', 'quota-exceeded'],
        },
        schema: {
          tags,
          summary: 'Make an API key; its token is shown once',
          description:
            'The token is in this answer and nowhere else: it is stored as a hash. The key acts for this tenant alone.',
          params,
          querystring: DryRun,
          body: NewApiKey,
          response: { 201: ApiKeyWithToken },
        },
      },
      async (request, reply) => {
        const { tenant } = request.params
        const asked = request.body
        return reply
          .code(201)
          .send(
            await createApiKey(writing(ctx, request), actorOf(request), { tenant, request: asked }),
          )
      },
    )
  },

  createTenantCertificateKey(api, ctx) {
    api.post(
      '/tenants/:tenant/api-keys::certificate',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-api-keys',
          problems: ['tenant-unknown', 'quota-exceeded'],
        },
        schema: {
          tags,
          summary: 'Make an API key that client certificates of the tenant open, and no token',
          description:
            'Whoever shows, over TLS, a client or peer certificate of this tenant with the name that it is bound to is this key. A certificate that is revoked or has ended opens nothing from that moment on.',
          params,
          querystring: DryRun,
          body: NewCertificateKey,
          response: { 201: ApiKey },
        },
      },
      async (request, reply) => {
        const { tenant } = request.params
        const asked = { tenant, request: request.body }
        const made = await createCertificateKey(writing(ctx, request), actorOf(request), asked)
        return reply.code(201).send(made)
      },
    )
  },

  listTenantApiKeys(api, ctx) {
    api.get(
      '/tenants/:tenant/api-keys',
      {
        config: { needs: 'write-api-keys', problems: ['tenant-unknown', 'cursor-refused'] },
        schema: {
          tags,
          summary: 'List the API keys in force',
          description:
            'Keys that were revoked or have ended are left out. With limit and cursor; nextCursor is null on the last page.',
          params,
          querystring: ApiKeyQuery,
          response: { 200: ListOf(ApiKey) },
        },
      },
      (request) =>
        listApiKeys(ctx, actorOf(request), { ...request.query, tenant: request.params.tenant }),
    )
  },

  deleteTenantApiKey(api, ctx) {
    api.delete(
      '/tenants/:tenant/api-keys/:id',
      {
        config: {
          needs: 'write-api-keys',
          problems: ['tenant-unknown', 'api-key-unknown', 'api-key-needed'],
        },
        schema: {
          tags,
          summary: 'Revoke an API key',
          description: 'It is refused from the next request on.',
          params: closed({ tenant: Name, id: Id }),
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await revokeApiKey(writing(ctx, request), actorOf(request), request.params)
        return reply.code(204).send(null)
      },
    )
  },

  createApiKey(api, ctx) {
    api.post(
      '/api-keys',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-api-keys',
          platform: true,
          problems: ['quota-exceeded'],
        },
        schema: {
          tags,
          summary: 'Make a platform-wide API key; its token is shown once',
          description:
            'The token is in this answer and nowhere else: it is stored as a hash. A platform-wide key may act for every tenant, as its role allows.',
          querystring: DryRun,
          body: NewApiKey,
          response: { 201: ApiKeyWithToken },
        },
      },
      async (request, reply) =>
        reply.code(201).send(
          await createApiKey(writing(ctx, request), actorOf(request), {
            tenant: null,
            request: request.body,
          }),
        ),
    )
  },

  listApiKeys(api, ctx) {
    api.get(
      '/api-keys',
      {
        config: { needs: 'write-api-keys', platform: true, problems: ['cursor-refused'] },
        schema: {
          tags,
          summary: 'List the platform-wide API keys in force',
          description:
            'Keys that were revoked or have ended are left out. With limit and cursor; nextCursor is null on the last page.',
          querystring: ApiKeyQuery,
          response: { 200: ListOf(ApiKey) },
        },
      },
      (request) => listApiKeys(ctx, actorOf(request), { ...request.query, tenant: null }),
    )
  },

  deleteApiKey(api, ctx) {
    api.delete(
      '/api-keys/:id',
      {
        config: {
          needs: 'write-api-keys',
          platform: true,
          problems: ['api-key-unknown', 'api-key-needed'],
        },
        schema: {
          tags,
          summary: 'Revoke a platform-wide API key',
          description:
            'It is refused from the next request on. The last key that may make keys stays.',
          params: closed({ id: Id }),
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await revokeApiKey(writing(ctx, request), actorOf(request), {
          tenant: null,
          id: request.params.id,
        })
        return reply.code(204).send(null)
      },
    )
  },
}
