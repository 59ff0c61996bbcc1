import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { closed, Name, PageOf, PageQuery } from '../../shared/schema.ts'
import { getTenant, listTenants } from '../../tenants/find.ts'
import { ChangedTenant, NewTenant, Tenant, TenantPatch } from '../../tenants/tenant.ts'
import { changeTenant, createTenant, removeTenant } from '../../tenants/write.ts'
import type { Api } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { idempotent } from '../idempotency.ts'
import { problemResponse } from '../openapi.ts'

const tags = ['tenants']
const params = closed({ tenant: Name })

/** /v1/tenants */
export function tenants(api: Api, ctx: Context): void {
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

  api.get(
    '/tenants',
    {
      config: { needs: 'read' },
      schema: {
        tags,
        summary: 'List tenants by name',
        querystring: PageQuery,
        response: { 200: PageOf(Tenant), ...problemResponse },
      },
    },
    (request) => listTenants(ctx, actorOf(request), request.query),
  )

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
}
