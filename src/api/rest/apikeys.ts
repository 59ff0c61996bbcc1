import Type from 'typebox'
import { ListOf } from '../../shared/lists/query.ts'
import { closed, Id, Name } from '../../shared/schema.ts'
import {
  ApiKeyQuery,
  createApiKey,
  listApiKeys,
  revokeApiKey,
} from '../../tenants/apikeys/lifecycle.ts'
import { ApiKey, ApiKeyWithToken, NewApiKey } from '../../tenants/apikeys/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { idempotent } from '../idempotency.ts'
import { problemResponse } from '../openapi.ts'

const tags = ['api keys']
const params = closed({ tenant: Name })

/** /v1/tenants/{tenant}/api-keys for a tenant's, /v1/api-keys for platform-wide ones. */
export const apiKeys: Routes = {
  createTenantApiKey(api, ctx) {
    api.post(
      '/tenants/:tenant/api-keys',
      {
        ...idempotent(ctx),
        config: { needs: 'write-api-keys' },
        schema: {
          tags,
          summary: 'Make an API key; its token is shown once',
          params,
          body: NewApiKey,
          response: { 201: ApiKeyWithToken, ...problemResponse },
        },
      },
      async (request, reply) => {
        const { tenant } = request.params
        const asked = request.body
        return reply
          .code(201)
          .send(await createApiKey(ctx, actorOf(request), { tenant, request: asked }))
      },
    )
  },

  listTenantApiKeys(api, ctx) {
    api.get(
      '/tenants/:tenant/api-keys',
      {
        config: { needs: 'write-api-keys' },
        schema: {
          tags,
          summary: 'List the API keys in force',
          params,
          querystring: ApiKeyQuery,
          response: { 200: ListOf(ApiKey), ...problemResponse },
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
        config: { needs: 'write-api-keys' },
        schema: {
          tags,
          summary: 'Revoke an API key',
          params: closed({ tenant: Name, id: Id }),
          response: { 204: Type.Null(), ...problemResponse },
        },
      },
      async (request, reply) => {
        await revokeApiKey(ctx, actorOf(request), request.params)
        return reply.code(204).send(null)
      },
    )
  },

  createApiKey(api, ctx) {
    api.post(
      '/api-keys',
      {
        ...idempotent(ctx),
        config: { needs: 'write-api-keys', platform: true },
        schema: {
          tags,
          summary: 'Make a platform-wide API key; its token is shown once',
          body: NewApiKey,
          response: { 201: ApiKeyWithToken, ...problemResponse },
        },
      },
      async (request, reply) =>
        reply
          .code(201)
          .send(await createApiKey(ctx, actorOf(request), { tenant: null, request: request.body })),
    )
  },

  listApiKeys(api, ctx) {
    api.get(
      '/api-keys',
      {
        config: { needs: 'write-api-keys', platform: true },
        schema: {
          tags,
          summary: 'List the platform-wide API keys in force',
          querystring: ApiKeyQuery,
          response: { 200: ListOf(ApiKey), ...problemResponse },
        },
      },
      (request) => listApiKeys(ctx, actorOf(request), { ...request.query, tenant: null }),
    )
  },

  deleteApiKey(api, ctx) {
    api.delete(
      '/api-keys/:id',
      {
        config: { needs: 'write-api-keys', platform: true },
        schema: {
          tags,
          summary: 'Revoke a platform-wide API key',
          params: closed({ id: Id }),
          response: { 204: Type.Null(), ...problemResponse },
        },
      },
      async (request, reply) => {
        await revokeApiKey(ctx, actorOf(request), { tenant: null, id: request.params.id })
        return reply.code(204).send(null)
      },
    )
  },
}
