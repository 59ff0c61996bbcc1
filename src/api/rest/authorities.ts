import Type from 'typebox'
import { listCaOrders } from '../../acme/ordering/find.ts'
import { CaOrder, CaOrderQuery } from '../../acme/ordering/schema.ts'
import {
  Authority,
  AuthorityPatch,
  ImportedAuthority,
  NewAuthority,
} from '../../authorities/authority.ts'
import { changeAuthority } from '../../authorities/change.ts'
import { createAuthority } from '../../authorities/create.ts'
import { AuthorityQuery, getAuthority, listAuthorities } from '../../authorities/find.ts'
import { importAuthority } from '../../authorities/import.ts'
import { removeAuthority } from '../../authorities/remove.ts'
import { getTrustStore } from '../../authorities/trust/bundle.ts'
import { ListOf } from '../../shared/lists/query.ts'
import { BundlePassword, closed, Name, Octets, StoreCompatibility } from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { preconditionOf } from '../edge/conditions.ts'
import { idempotent } from '../idempotency.ts'
import { DryRun, writing } from '../rehearsal.ts'

const tags = ['authorities']

/** What of it can be written. */
const versioned = [...Object.keys(AuthorityPatch.properties), 'retiredAt']

/** /v1/authorities */
export const authorities: Routes = {
  createAuthority(api, ctx) {
    api.post(
      '/authorities',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-authorities',
          platform: true,
          problems: [
            'authority-unknown',
            'tenant-unknown',
            'authority-exists',
            'authority-refused',
            'authority-keyless',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'Create a root, or an intermediate below an authority whose key is held here',
          description:
            'Its key is made here, or is one of a PKCS#11 token. With a tenant, it is that tenant’s alone.',
          querystring: DryRun,
          body: NewAuthority,
          response: { 201: Authority },
        },
      },
      async (request, reply) =>
        reply
          .code(201)
          .send(await createAuthority(writing(ctx, request), actorOf(request), request.body)),
    )
  },

  importAuthority(api, ctx) {
    api.post(
      '/authorities/import',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-authorities',
          platform: true,
          problems: [
            'tenant-unknown',
            'authority-exists',
            'authority-refused',
            'rotation-underway',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'Take over a CA made elsewhere, with or without its private key',
          description:
            'The certificate and those above it in PEM, or a PKCS#12 store; with the key it signs here, without it its certificates are only known. A renewed certificate of the same name and key takes the place of the one before: import it under the name of its authority.',
          querystring: DryRun,
          body: ImportedAuthority,
          response: { 201: Authority },
        },
      },
      async (request, reply) =>
        reply
          .code(201)
          .send(await importAuthority(writing(ctx, request), actorOf(request), request.body)),
    )
  },

  listAuthorities(api, ctx) {
    api.get(
      '/authorities',
      {
        config: { needs: 'read', problems: ['cursor-refused'] },
        schema: {
          tags,
          summary: 'List authorities by name',
          description:
            'Those of all tenants, or, for the API key of a tenant, those that it may use. With limit and cursor; nextCursor is null on the last page.',
          querystring: AuthorityQuery,
          response: { 200: ListOf(Authority) },
        },
      },
      (request) => listAuthorities(ctx, actorOf(request), request.query),
    )
  },

  getAuthority(api, ctx) {
    api.get(
      '/authorities/:authority',
      {
        config: { needs: 'read', versioned, problems: ['authority-unknown'] },
        schema: {
          tags,
          summary: 'Read an authority',
          description: 'Its certificate, limits, and how it stands. No private key is ever shown.',
          params: closed({ authority: Name }),
          response: { 200: Authority },
        },
      },
      (request) => getAuthority(ctx, actorOf(request), request.params.authority),
    )
  },

  listAuthorityOrders(api, ctx) {
    api.get(
      '/authorities/:authority/orders',
      {
        config: { needs: 'read', problems: ['authority-unknown', 'cursor-refused'] },
        schema: {
          tags,
          summary: 'List what hosts have ordered of a CA elsewhere, oldest first',
          description:
            'Of an authority of the kind acme; others have none. What each waits for, or why it failed. A tenant sees its own. With limit and cursor; nextCursor is null on the last page.',
          params: closed({ authority: Name }),
          querystring: CaOrderQuery,
          response: { 200: ListOf(CaOrder) },
        },
      },
      (request) => listCaOrders(ctx, actorOf(request), { ...request.params, ...request.query }),
    )
  },

  updateAuthority(api, ctx) {
    api.patch(
      '/authorities/:authority',
      {
        config: {
          needs: 'write-authorities',
          platform: true,
          versioned,
          problems: ['authority-unknown', 'authority-refused', 'approval-needed'],
        },
        schema: {
          tags,
          consumes: ['application/merge-patch+json', 'application/json'],
          summary: 'Change what an authority is called, its limits, or whether it is retired',
          description: 'What is left out stays; null takes a limit or the display name away.',
          params: closed({ authority: Name }),
          querystring: DryRun,
          body: AuthorityPatch,
          response: { 200: Authority },
        },
      },
      (request) => {
        const { authority: name } = request.params
        return changeAuthority(
          writing(ctx, request),
          actorOf(request),
          { name, patch: request.body },
          preconditionOf(request),
        )
      },
    )
  },

  deleteAuthority(api, ctx) {
    api.delete(
      '/authorities/:authority',
      {
        config: {
          needs: 'write-authorities',
          platform: true,
          problems: ['authority-unknown', 'authority-in-use', 'approval-needed'],
        },
        schema: {
          tags,
          summary: 'Remove an authority of which everything has ended, with its keys',
          description:
            'Refused while a certificate of it is valid, or a tenant, a host or another authority still needs it.',
          params: closed({ authority: Name }),
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await removeAuthority(writing(ctx, request), actorOf(request), request.params.authority)
        return reply.code(204).send(null)
      },
    )
  },

  getAuthorityTrustStore(api, ctx) {
    api.get(
      '/authorities/:authority/trust-store',
      {
        config: {
          needs: 'read',
          bears: ['Content-Disposition'],
          problems: ['authority-unknown', 'busy'],
        },
        schema: {
          tags,
          summary: 'Download what to trust for an authority as a PKCS#12 store, as Java takes it',
          description:
            'Under the password in X-Bundle-Password (printable ASCII). The same in PEM, for everybody: /pki/{authority}/ca.pem.',
          params: closed({ authority: Name }),
          querystring: closed({ compatibility: Type.Optional(StoreCompatibility) }),
          headers: BundlePassword,
          response: {
            200: {
              description: 'A PKCS#12 store of the roots',
              content: { 'application/x-pkcs12': { schema: Octets } },
            },
          },
        },
      },
      async (request, reply) => {
        const { authority } = request.params
        const password = request.headers['x-bundle-password']
        const { compatibility } = request.query
        const asked = { authority, password, compatibility }
        const store = await getTrustStore(ctx, actorOf(request), asked)
        return reply
          .type('application/x-pkcs12')
          .header('content-disposition', `attachment; filename="${authority}.p12"`)
          .send(store)
      },
    )
  },
}
