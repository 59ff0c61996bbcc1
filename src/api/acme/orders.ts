import type { FastifyReply } from 'fastify'
import Type from 'typebox'
import { jwkKey } from '../../acme/accounts/keys.ts'
import { createOrder } from '../../acme/orders/create.ts'
import { downloadChain } from '../../acme/orders/download.ts'
import { finalizeOrder } from '../../acme/orders/finalize.ts'
import { type AcmeOrder, findOrder } from '../../acme/orders/find.ts'
import { Identifier } from '../../acme/orders/identifiers.ts'
import { revokeForClient } from '../../acme/orders/revoke.ts'
import type { Context } from '../../core/context.ts'
import { conforms, isRecord } from '../../shared/shape.ts'
import { timestamp } from '../../shared/view.ts'
import { spkiOf } from '../../x509/keys/public.ts'
import type { Api } from '../api.ts'
import { malformedRequest } from './jws.ts'
import { type AcmePlaces, authorityIn } from './places.ts'
import { type ByAccount, idIn, postByAccount, postByEither, readingOnly } from './signed.ts'

const NewOrder = Type.Object({
  identifiers: Type.Array(Identifier, { minItems: 1, maxItems: 100 }),
  profile: Type.Optional(Type.String({ maxLength: 64 })),
  replaces: Type.Optional(Type.String({ maxLength: 200 })),
  notBefore: Type.Optional(Type.Unknown()),
  notAfter: Type.Optional(Type.Unknown()),
})

const base64url = Type.String({ pattern: '^[A-Za-z0-9_-]+$', maxLength: 100_000 })
const Finalization = Type.Object({ csr: base64url })
const Revocation = Type.Object({
  certificate: base64url,
  reason: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
})

/** Orders, certificates and their revocation (RFC 8555 7.4, 7.6). */
export function orders(api: Api, ctx: Context): void {
  postByAccount(api, ctx, {
    url: '/new-order',
    answer: async (asked) => {
      const { account, actor, payload, reply, places } = asked
      if (!conforms(NewOrder, payload))
        throw malformedRequest('The payload is not that of an order')
      if (payload.notBefore !== undefined || payload.notAfter !== undefined) {
        throw malformedRequest(
          'Certificates begin now and end as their profile says: leave out notBefore and notAfter',
        )
      }
      const order = await createOrder(ctx, actor, { account, asked: payload })
      reply.code(201).header('location', places.at('order', order.id))
      return reply.send(orderDocument(order, places))
    },
  })

  postByAccount(api, ctx, {
    url: '/order/:id',
    answer: async (asked) => {
      readingOnly(asked)
      return sendOrder(asked, await findOrder(ctx, asked.account, idIn(asked)))
    },
  })

  postByAccount(api, ctx, {
    url: '/order/:id/finalize',
    answer: async (asked) => {
      const { account, actor, payload } = asked
      if (!conforms(Finalization, payload)) throw malformedRequest('The payload needs csr')
      const csr = Buffer.from(payload.csr, 'base64url')
      return sendOrder(asked, await finalizeOrder(ctx, actor, { account, id: idIn(asked), csr }))
    },
  })

  for (const url of ['/cert/:id', '/cert/:id/:alternate']) {
    postByAccount(api, ctx, {
      url,
      answer: async (asked) => {
        readingOnly(asked)
        const { account, actor, reply, places } = asked
        const [id, alternate] = [idIn(asked), alternateIn(asked)]
        const { pem, alternates } = await downloadChain(ctx, actor, { account, id, alternate })
        // RFC 8555 7.4.2: each of the chains names the others.
        const others = Array.from({ length: alternates + 1 }, (_, i) => i).filter(
          (i) => i !== alternate,
        )
        const links = others.map((i) => {
          const place = i === 0 ? places.at('cert', id) : places.at('cert', id, String(i))
          return `<${place}>;rel="alternate"`
        })
        if (links.length > 0) reply.header('link', links)
        return reply.type('application/pem-certificate-chain').send(pem)
      },
    })
  }

  postByEither(api, ctx, {
    url: '/revoke-cert',
    answer: async (asked) => {
      const { request, reply, payload } = asked
      if (!conforms(Revocation, payload)) throw malformedRequest('The payload needs certificate')
      const der = Buffer.from(payload.certificate, 'base64url')
      const revoker =
        'account' in asked
          ? { account: asked.account, actor: asked.actor }
          : { spki: spkiOf(jwkKey(asked.jwk)), requestId: request.id }
      const asking = { authority: authorityIn(request), der, reason: payload.reason ?? 0 }
      await revokeForClient(ctx, revoker, asking)
      return reply.code(200).send()
    },
  })
}

/** Which of the chains is asked for; 0: the one that it is sent with. */
function alternateIn({ request: { params } }: ByAccount): number {
  const text = isRecord(params) ? params.alternate : undefined
  if (text === undefined) return 0
  return /^[1-9]$/.test(String(text)) ? Number(text) : Number.NaN
}

function sendOrder({ reply, places }: ByAccount, order: AcmeOrder): FastifyReply {
  if (order.status === 'processing') reply.header('retry-after', '1')
  reply.header('location', places.at('order', order.id))
  return reply.send(orderDocument(order, places))
}

/** An order as its client sees it (RFC 8555 7.1.3). */
function orderDocument(order: AcmeOrder, { at }: AcmePlaces) {
  return {
    status: order.status,
    expires: timestamp(order.expiresAt),
    identifiers: order.identifiers,
    profile: order.profile,
    authorizations: order.authorizations.map((id) => at('authz', id)),
    finalize: at('order', order.id, 'finalize'),
    ...(order.certificateId === null ? {} : { certificate: at('cert', order.certificateId) }),
    ...(order.error === null ? {} : { error: order.error }),
  }
}
