import Type from 'typebox'
import { Revocation } from '../../../authorities/crl/revocation.ts'
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
import { problemResponse } from '../../openapi.ts'

const tags = ['authorities']
const params = closed({ authority: Name })

/** The keys and certificates of an authority: /v1/authorities/{authority}/… */
export const rotations: Routes = {
  rotateAuthority(api, ctx) {
    api.post(
      '/authorities/:authority/rotate',
      {
        ...idempotent(ctx),
        config: { needs: 'write-authorities', platform: true },
        schema: {
          tags,
          summary: 'Begin to change the key of an authority; the steps follow by themselves',
          params,
          body: Type.Union([NewRotation, Type.Null()]),
          response: { 202: Rotation, ...problemResponse },
        },
      },
      async (request, reply) => {
        const input = { ...request.params, request: request.body ?? {} }
        return reply.code(202).send(await rotateAuthority(ctx, actorOf(request), input))
      },
    )
  },

  getAuthorityRotation(api, ctx) {
    api.get(
      '/authorities/:authority/rotation',
      {
        config: { needs: 'read' },
        schema: {
          tags,
          summary: 'How far the change of key is, and what it waits for',
          params,
          response: { 200: Rotation, ...problemResponse },
        },
      },
      (request) => getRotation(ctx, actorOf(request), request.params.authority),
    )
  },

  retireAuthorityRotation(api, ctx) {
    api.post(
      '/authorities/:authority/rotation/retire',
      {
        config: { needs: 'write-authorities', platform: true },
        schema: {
          tags,
          summary: 'Retire the old key although certificates of it are left, from the deadline on',
          params,
          response: { 200: Rotation, ...problemResponse },
        },
      },
      (request) => retireRotated(ctx, actorOf(request), request.params.authority),
    )
  },

  listAuthorityIssuers(api, ctx) {
    api.get(
      '/authorities/:authority/issuers',
      {
        config: { needs: 'read' },
        schema: {
          tags,
          summary: 'The certificates of all keys of an authority, and what each is used for',
          params,
          response: { 200: closed({ items: Type.Array(IssuerView) }), ...problemResponse },
        },
      },
      (request) => listIssuers(ctx, actorOf(request), request.params.authority),
    )
  },

  revokeAuthorityIssuer(api, ctx) {
    api.post(
      '/authorities/:authority/issuers/:id/revoke',
      {
        config: { needs: 'write-authorities', platform: true },
        schema: {
          tags,
          summary:
            'Revoke a certificate of an authority that signs nothing new; once more changes nothing',
          params: closed({ authority: Name, id: Id }),
          body: Revocation,
          response: { 200: IssuerView, ...problemResponse },
        },
      },
      (request) => {
        const { reason = 'unspecified' } = request.body
        return revokeIssuer(ctx, actorOf(request), { ...request.params, reason })
      },
    )
  },

  crossSignAuthority(api, ctx) {
    api.post(
      '/authorities/:authority/cross-sign',
      {
        ...idempotent(ctx),
        config: { needs: 'write-authorities', platform: true },
        schema: {
          tags,
          summary: 'Have the key of an authority certified by another authority too',
          params,
          body: CrossSigning,
          response: { 201: IssuerView, ...problemResponse },
        },
      },
      async (request, reply) => {
        const input = { ...request.params, ...request.body }
        return reply.code(201).send(await crossSign(ctx, actorOf(request), input))
      },
    )
  },
}
