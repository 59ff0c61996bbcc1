import Type from 'typebox'
import {
  createAcmeKey,
  getAcmeKey,
  listAcmeKeys,
  removeAcmeKey,
} from '../../../acme/keys/lifecycle.ts'
import { AcmeKey, AcmeKeyQuery, AcmeKeyWithSecret, NewAcmeKey } from '../../../acme/keys/schema.ts'
import { ListOf } from '../../../shared/lists/query.ts'
import { closed, Id, Name } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotent } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const tags = ['acme']
const params = closed({ tenant: Name })
const byId = closed({ tenant: Name, id: Id })

/** /v1/tenants/{tenant}/acme-keys */
export const acmeKeys: Routes = {
  createTenantAcmeKey(api, ctx) {
    api.post(
      '/tenants/:tenant/acme-keys',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-acme-keys',
          problems: ['tenant-unknown', 'authority-unknown', 'quota-exceeded'],
        },
        schema: {
          tags,
          summary: 'Make a key by which ACME clients open accounts (external account binding)',
          description:
            'Clients take id as kid and hmacKey, which is in this answer and nowhere else. Accounts that it opens order certificates for this tenant.',
          params,
          querystring: DryRun,
          body: NewAcmeKey,
          response: { 201: AcmeKeyWithSecret },
        },
      },
      async (request, reply) => {
        const asked = { tenant: request.params.tenant, request: request.body }
        const made = await createAcmeKey(writing(ctx, request), actorOf(request), asked)
        return reply.code(201).send(made)
      },
    )
  },

  listTenantAcmeKeys(api, ctx) {
    api.get(
      '/tenants/:tenant/acme-keys',
      {
        config: { needs: 'read', problems: ['tenant-unknown', 'cursor-refused'] },
        schema: {
          tags,
          summary: 'List the ACME keys of a tenant',
          description:
            'Those that were removed are left out. With limit and cursor; nextCursor is null on the last page.',
          params,
          querystring: AcmeKeyQuery,
          response: { 200: ListOf(AcmeKey) },
        },
      },
      (request) =>
        listAcmeKeys(ctx, actorOf(request), { ...request.query, tenant: request.params.tenant }),
    )
  },

  getTenantAcmeKey(api, ctx) {
    api.get(
      '/tenants/:tenant/acme-keys/:id',
      {
        config: { needs: 'read', problems: ['tenant-unknown', 'acme-key-unknown'] },
        schema: {
          tags,
          summary: 'Read an ACME key, never what its clients sign with',
          description: 'What accounts that it opens may order, and when it ends.',
          params: byId,
          response: { 200: AcmeKey },
        },
      },
      (request) => getAcmeKey(ctx, actorOf(request), request.params),
    )
  },

  deleteTenantAcmeKey(api, ctx) {
    api.delete(
      '/tenants/:tenant/acme-keys/:id',
      {
        config: { needs: 'write-acme-keys', problems: ['tenant-unknown', 'acme-key-unknown'] },
        schema: {
          tags,
          summary: 'Remove an ACME key, and revoke the accounts that it opened',
          description:
            'It opens no account any more, and nothing that its accounts sign is taken. Certificates that they have stay good.',
          params: byId,
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await removeAcmeKey(writing(ctx, request), actorOf(request), request.params)
        return reply.code(204).send(null)
      },
    )
  },
}
