import Type from 'typebox'
import { revokeAcmeAccount } from '../../../acme/accounts/change.ts'
import { getAcmeAccount, listAcmeAccounts } from '../../../acme/accounts/find.ts'
import { AcmeAccount, AcmeAccountQuery } from '../../../acme/keys/schema.ts'
import { ListOf } from '../../../shared/lists/query.ts'
import { closed, Id, Name } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const tags = ['acme']
const byId = closed({ tenant: Name, id: Id })

/** /v1/tenants/{tenant}/acme-accounts: clients open them, and their tenant sees and ends them. */
export const acmeAccounts: Routes = {
  listTenantAcmeAccounts(api, ctx) {
    api.get(
      '/tenants/:tenant/acme-accounts',
      {
        config: { needs: 'read', problems: ['tenant-unknown', 'cursor-refused'] },
        schema: {
          tags,
          summary: 'List the accounts of the ACME clients of a tenant',
          description:
            'Also those that have ended. With limit and cursor; nextCursor is null on the last page.',
          params: closed({ tenant: Name }),
          querystring: AcmeAccountQuery,
          response: { 200: ListOf(AcmeAccount) },
        },
      },
      (request) =>
        listAcmeAccounts(ctx, actorOf(request), {
          ...request.query,
          tenant: request.params.tenant,
        }),
    )
  },

  getTenantAcmeAccount(api, ctx) {
    api.get(
      '/tenants/:tenant/acme-accounts/:id',
      {
        config: { needs: 'read', problems: ['tenant-unknown', 'acme-account-unknown'] },
        schema: {
          tags,
          summary: 'Read the account of an ACME client',
          description:
            'By which key and at which authority it was opened, and whether it is valid.',
          params: byId,
          response: { 200: AcmeAccount },
        },
      },
      (request) => getAcmeAccount(ctx, actorOf(request), request.params),
    )
  },

  deleteTenantAcmeAccount(api, ctx) {
    api.delete(
      '/tenants/:tenant/acme-accounts/:id',
      {
        config: {
          needs: 'write-acme-keys',
          problems: ['tenant-unknown', 'acme-account-unknown'],
        },
        schema: {
          tags,
          summary: 'Revoke the account of an ACME client',
          description:
            'Nothing that it signs is taken any more. Certificates that it has stay good; the account stays in the list as revoked.',
          params: byId,
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await revokeAcmeAccount(writing(ctx, request), actorOf(request), request.params)
        return reply.code(204).send(null)
      },
    )
  },
}
