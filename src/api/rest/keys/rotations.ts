import Type from 'typebox'
import { rotateAccountKey } from '../../../authorities/acme/rotate.ts'
import { Authority } from '../../../authorities/authority.ts'
import { NewRevocation } from '../../../authorities/crl/revocation.ts'
import { CrossSigning, crossSign } from '../../../authorities/issuers/crosssign.ts'
import { revokeIssuer } from '../../../authorities/issuers/revoke.ts'
import { IssuerView, listIssuers } from '../../../authorities/issuers/view.ts'
import { retireRotated } from '../../../authorities/rotation/advance.ts'
import { getRotation } from '../../../authorities/rotation/find.ts'
import { rotateAuthority } from '../../../authorities/rotation/rotate.ts'
import { NewRotation, Rotation } from '../../../authorities/rotation/steps.ts'
import { closed, Id, Name } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotent } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const tags = ['authorities']
const params = closed({ authority: Name })

/** The keys and certificates of an authority: /v1/authorities/{authority}/… */
export const rotations: Routes = {
  rotateAuthority(api, ctx) {
    api.post(
      '/authorities/:authority/rotate',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-authorities',
          platform: true,
          problems: [
            'authority-unknown',
            'authority-refused',
            'authority-keyless',
            'rotation-underway',
            'approval-needed',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'Begin to change the key of an authority; the steps follow by themselves',
          description:
            'A new key is made and certified; it signs once everybody can have heard of it, then what the old key has signed is replaced, and then the old key is retired. Nothing that is in use stops working.',
          params,
          querystring: DryRun,
          body: Type.Union([NewRotation, Type.Null()]),
          response: { 202: Rotation },
        },
      },
      async (request, reply) => {
        const input = { ...request.params, request: request.body ?? {} }
        return reply
          .code(202)
          .send(await rotateAuthority(writing(ctx, request), actorOf(request), input))
      },
    )
  },

  rotateAuthorityAccountKey(api, ctx) {
    api.post(
      '/authorities/:authority/account-key/rotate',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-authorities',
          platform: true,
          problems: ['authority-unknown', 'authority-refused', 'busy'],
        },
        schema: {
          tags,
          summary:
            'Begin to change the key of the account with a CA elsewhere; the CA is told by itself',
          description:
            'Of the kind acme. The next key is made and sealed here before the CA hears of it (RFC 8555 7.3.5), once no names are being proved; orders wait meanwhile. Of an account that the CA has ended, another one is opened.',
          params,
          querystring: DryRun,
          response: { 202: Authority },
        },
      },
      async (request, reply) => {
        const { authority } = request.params
        return reply
          .code(202)
          .send(await rotateAccountKey(writing(ctx, request), actorOf(request), authority))
      },
    )
  },

  getAuthorityRotation(api, ctx) {
    api.get(
      '/authorities/:authority/rotation',
      {
        config: { needs: 'read', problems: ['authority-unknown', 'rotation-unknown'] },
        schema: {
          tags,
          summary: 'How far the change of key is, and what it waits for',
          description:
            'Step by step, with what is left to be replaced. The API key of a tenant is told of its own.',
          params,
          response: { 200: Rotation },
        },
      },
      (request) => getRotation(ctx, actorOf(request), request.params.authority),
    )
  },

  retireAuthorityRotation(api, ctx) {
    api.post(
      '/authorities/:authority/rotation/retire',
      {
        config: {
          needs: 'write-authorities',
          platform: true,
          problems: [
            'authority-unknown',
            'rotation-unknown',
            'rotation-unfinished',
            'approval-needed',
          ],
        },
        schema: {
          tags,
          summary: 'Retire the old key although certificates of it are left, from the deadline on',
          description: 'For what its holders do not replace. Before the deadline it is refused.',
          params,
          querystring: DryRun,
          response: { 200: Rotation },
        },
      },
      (request) => retireRotated(writing(ctx, request), actorOf(request), request.params.authority),
    )
  },

  listAuthorityIssuers(api, ctx) {
    api.get(
      '/authorities/:authority/issuers',
      {
        config: { needs: 'read', problems: ['authority-unknown'] },
        schema: {
          tags,
          summary: 'The certificates of all keys of an authority, and what each is used for',
          description:
            'Oldest first: of each key by whom it was certified, when it ends, and whether it signs new certificates.',
          params,
          response: { 200: closed({ items: Type.Array(IssuerView) }, { title: 'IssuerList' }) },
        },
      },
      (request) => listIssuers(ctx, actorOf(request), request.params.authority),
    )
  },

  revokeAuthorityIssuer(api, ctx) {
    api.post(
      '/authorities/:authority/issuers/:id/revoke',
      {
        config: {
          needs: 'write-authorities',
          platform: true,
          problems: [
            'authority-unknown',
            'issuer-unknown',
            'authority-refused',
            'authority-keyless',
            'certificate-expired',
            'approval-needed',
          ],
        },
        schema: {
          tags,
          summary:
            'Revoke a certificate of an authority that signs nothing new; once more changes nothing',
          description:
            'The one who signed it puts it on its list. The certificate that signs now is not revoked: rotate the key first.',
          params: closed({ authority: Name, id: Id }),
          querystring: DryRun,
          body: NewRevocation,
          response: { 200: IssuerView },
        },
      },
      (request) => {
        const { reason = 'unspecified' } = request.body
        return revokeIssuer(writing(ctx, request), actorOf(request), { ...request.params, reason })
      },
    )
  },

  crossSignAuthority(api, ctx) {
    api.post(
      '/authorities/:authority/cross-sign',
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-authorities',
          platform: true,
          placeless: true,
          problems: [
            'authority-unknown',
            'authority-refused',
            'authority-keyless',
            'approval-needed',
          ],
        },
        schema: {
          tags,
          summary: 'Have the key of an authority certified by another authority too',
          description:
            'So that who trusts the other authority trusts this one, too. The new certificate is sent along in chains.',
          params,
          querystring: DryRun,
          body: CrossSigning,
          response: { 201: IssuerView },
        },
      },
      async (request, reply) => {
        const input = { ...request.params, ...request.body }
        return reply.code(201).send(await crossSign(writing(ctx, request), actorOf(request), input))
      },
    )
  },
}
