import type { FastifyRequest } from 'fastify'
import type { Context } from '../../../core/context.ts'
import { closed, Id, Name } from '../../../shared/schema.ts'
import { changeApiKey, getApiKey } from '../../../tenants/apikeys/change.ts'
import { ApiKey, ApiKeyPatch } from '../../../tenants/apikeys/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { preconditionOf } from '../../edge/conditions.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const tags = ['api keys']

/** What of it can be written. */
const versioned = Object.keys(ApiKeyPatch.properties)
const consumes = ['application/merge-patch+json', 'application/json']
const ofTenant = closed({ tenant: Name, id: Id })
const ofPlatform = closed({ id: Id })

const needs = 'write-api-keys'
const reading = {
  summary: 'Read an API key, never its token',
  description: 'Its rights, when it ends, and when it was last used.',
}
const changing = {
  summary: 'Change what an API key is called, its scopes, or when it ends',
  description:
    'Its token stays. What is left out stays; null as scopes is all of its role, null as expiresAt as late as the settings allow, counted from when its token was made.',
}

type Write = FastifyRequest & {
  readonly body: ApiKeyPatch
  readonly query: { readonly dryRun?: boolean }
}

function change(ctx: Context, request: Write, place: { tenant: string | null; id: string }) {
  const asked = { ...place, patch: request.body }
  return changeApiKey(writing(ctx, request), actorOf(request), asked, preconditionOf(request))
}

/** …/api-keys/{id} */
export const apiKeyById: Routes = {
  getTenantApiKey(api, ctx) {
    api.get(
      '/tenants/:tenant/api-keys/:id',
      {
        config: { needs, versioned, problems: ['tenant-unknown', 'api-key-unknown'] },
        schema: { tags, ...reading, params: ofTenant, response: { 200: ApiKey } },
      },
      (request) => getApiKey(ctx, actorOf(request), request.params),
    )
  },

  updateTenantApiKey(api, ctx) {
    api.patch(
      '/tenants/:tenant/api-keys/:id',
      {
        config: { needs, versioned, problems: ['tenant-unknown', 'api-key-unknown'] },
        schema: {
          ...{ tags, consumes, ...changing },
          params: ofTenant,
          querystring: DryRun,
          body: ApiKeyPatch,
          response: { 200: ApiKey },
        },
      },
      (request) => change(ctx, request, request.params),
    )
  },

  getApiKey(api, ctx) {
    api.get(
      '/api-keys/:id',
      {
        config: { needs, platform: true, versioned, problems: ['api-key-unknown'] },
        schema: { tags, ...reading, params: ofPlatform, response: { 200: ApiKey } },
      },
      (request) => getApiKey(ctx, actorOf(request), { tenant: null, id: request.params.id }),
    )
  },

  updateApiKey(api, ctx) {
    api.patch(
      '/api-keys/:id',
      {
        config: {
          ...{ needs, platform: true, versioned },
          problems: ['api-key-unknown', 'api-key-needed'],
        },
        schema: {
          ...{ tags, consumes, ...changing },
          params: ofPlatform,
          querystring: DryRun,
          body: ApiKeyPatch,
          response: { 200: ApiKey },
        },
      },
      (request) => change(ctx, request, { tenant: null, id: request.params.id }),
    )
  },
}
