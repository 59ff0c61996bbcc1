import Type from 'typebox'
import { ListOf } from '../../shared/lists/query.ts'
import { closed, Name } from '../../shared/schema.ts'
import { getTenant, listTenants, TenantQuery } from '../../tenants/find.ts'
import { ChangedTenant, NewTenant, Tenant, TenantPatch } from '../../tenants/tenant.ts'
import { changeTenant, createTenant, removeTenant } from '../../tenants/write.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { idempotent } from '../idempotency.ts'
import { problemResponse } from '../openapi.ts'

const tags = ['tenants']
const params = closed({ tenant: Name })

/** /v1/tenants */
export const tenants: Routes = {
  createTenant(api, ctx) {
    api.post(
      '/tenants',
      {
        ...idempotent(ctx),
        config: { needs: 'write-tenants', platform: true },
        schema: {
          tags,
          summary: 'Create a tenant',
          body: NewTenant,
          response: { 201: ChangedTenant, ...problemResponse },
        },
      },
      async (request, reply) =>
        reply.code(201).send(await createTenant(ctx, actorOf(request), request.body)),
    )
  },

  listTenants(api, ctx) {
    api.get(
      '/tenants',
      {
        config: { needs: 'read' },
        schema: {
          tags,
          summary: 'List tenants by name',
          querystring: TenantQuery,
          response: { 200: ListOf(Tenant), ...problemResponse },
        },
      },
      (request) => listTenants(ctx, actorOf(request), request.query),
    )
  },

  getTenant(api, ctx) {
    api.get(
      '/tenants/:tenant',
      {
        config: { needs: 'read' },
        schema: {
          tags,
          summary: 'Read a tenant',
          params,
          response: { 200: Tenant, ...problemResponse },
        },
      },
      (request) => getTenant(ctx, actorOf(request), request.params.tenant),
    )
  },

  updateTenant(api, ctx) {
    api.patch(
      '/tenants/:tenant',
      {
        config: { needs: 'write-tenants', platform: true },
        schema: {
          tags,
          summary: 'Change what is named, leave the rest',
          params,
          body: TenantPatch,
          response: { 200: ChangedTenant, ...problemResponse },
        },
      },
      (request) => {
        const { tenant: name } = request.params
        return changeTenant(ctx, actorOf(request), { name, patch: request.body })
      },
    )
  },

  deleteTenant(api, ctx) {
    api.delete(
      '/tenants/:tenant',
      {
        config: { needs: 'write-tenants', platform: true },
        schema: {
          tags,
          summary: 'Remove a tenant that owns nothing',
          params,
          response: { 204: Type.Null(), ...problemResponse },
        },
      },
      async (request, reply) => {
        await removeTenant(ctx, actorOf(request), request.params.tenant)
        return reply.code(204).send(null)
      },
    )
  },
}
