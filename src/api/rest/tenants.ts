import Type from 'typebox'
import { ListOf } from '../../shared/lists/query.ts'
import { closed, Name } from '../../shared/schema.ts'
import { getTenant, listTenants, TenantQuery } from '../../tenants/find.ts'
import { ChangedTenant, NewTenant, Tenant, TenantPatch } from '../../tenants/tenant.ts'
import { changeTenant, createTenant, removeTenant } from '../../tenants/write.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { preconditionOf } from '../edge/conditions.ts'
import { idempotent } from '../idempotency.ts'
import { heldTo, isMergePatch, MergePatch, mergeInto } from '../mergepatch.ts'
import { DryRun, writing } from '../rehearsal.ts'

const tags = ['tenants']

/** What of it can be written. */
const versioned = Object.keys(TenantPatch.properties)
const params = closed({ tenant: Name })

/** /v1/tenants */
export const tenants: Routes = {
  createTenant(api, ctx) {
    api.post(
      '/tenants',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-tenants',
          platform: true,
          problems: ['tenant-exists', 'authority-unknown'],
        },
        schema: {
          tags,
          summary: 'Create a tenant',
          description:
            'With the DNS domains that its hosts may have, the namespaces that they may lead to, and limits.',
          querystring: DryRun,
          body: NewTenant,
          response: { 201: ChangedTenant },
        },
      },
      async (request, reply) =>
        reply
          .code(201)
          .send(await createTenant(writing(ctx, request), actorOf(request), request.body)),
    )
  },

  listTenants(api, ctx) {
    api.get(
      '/tenants',
      {
        config: { needs: 'read', problems: ['cursor-refused'] },
        schema: {
          tags,
          summary: 'List tenants by name',
          description:
            'With limit and cursor; nextCursor is null on the last page. The API key of a tenant sees its own.',
          querystring: TenantQuery,
          response: { 200: ListOf(Tenant) },
        },
      },
      (request) => listTenants(ctx, actorOf(request), request.query),
    )
  },

  getTenant(api, ctx) {
    api.get(
      '/tenants/:tenant',
      {
        config: { needs: 'read', versioned, problems: ['tenant-unknown'] },
        schema: {
          tags,
          summary: 'Read a tenant',
          description: 'Its domains, namespaces, policy and quotas, and how much of these is used.',
          params,
          response: { 200: Tenant },
        },
      },
      (request) => getTenant(ctx, actorOf(request), request.params.tenant),
    )
  },

  updateTenant(api, ctx) {
    api.patch(
      '/tenants/:tenant',
      {
        config: {
          needs: 'write-tenants',
          platform: true,
          versioned,
          problems: ['tenant-unknown', 'authority-unknown', 'tenant-in-use'],
        },
        schema: {
          tags,
          summary: 'Change what is named, leave the rest',
          description:
            'Sent as application/merge-patch+json (RFC 7396), policy and labels are merged into what is there; as application/json they take its place.',
          params,
          querystring: DryRun,
          body: {
            content: {
              'application/json': { schema: TenantPatch },
              'application/merge-patch+json': { schema: MergePatch },
            },
          },
          response: { 200: ChangedTenant },
        },
      },
      (request) => {
        const { tenant: name } = request.params
        if (isMergePatch(request)) {
          return mergeInto(request, {
            schema: TenantPatch,
            // Those that hold are shown, not those that were said.
            replaced: ['quotas'],
            read: () => getTenant(ctx, actorOf(request), name),
            write: (patch, expected) =>
              changeTenant(writing(ctx, request), actorOf(request), { name, patch }, expected),
          })
        }
        return changeTenant(
          writing(ctx, request),
          actorOf(request),
          { name, patch: heldTo(TenantPatch, request.body) },
          preconditionOf(request),
        )
      },
    )
  },

  deleteTenant(api, ctx) {
    api.delete(
      '/tenants/:tenant',
      {
        config: {
          needs: 'write-tenants',
          platform: true,
          problems: ['tenant-unknown', 'tenant-in-use'],
        },
        schema: {
          tags,
          summary: 'Remove a tenant that owns nothing',
          description: 'Refused while it has hosts, authorities or certificates that are valid.',
          params,
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await removeTenant(writing(ctx, request), actorOf(request), request.params.tenant)
        return reply.code(204).send(null)
      },
    )
  },
}
