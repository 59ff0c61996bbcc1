import { createPrivateKey } from 'node:crypto'
import { recordElsewhere } from '../../certificates/elsewhere/record.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { isDuplicate } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { Labels } from '../../shared/lists/labels.ts'
import { must } from '../../shared/must.ts'
import { shownJson } from '../../shared/view.ts'
import { spkiOf } from '../../x509/keys/public.ts'
import { type CaSession, postTo } from '../client/protocol.ts'
import { CaRefusal, problemIn, retryAfterOf } from '../client/refusal.ts'
import { believe } from './believe.ts'
import { failed, type Next, type OrderRow, orderIn, waiting } from './order.ts'

const actor = systemActor('host.certify')

/** RFC 8555 7.4: sends the request once all names are proved, and takes the certificate when it is there. The CA's word on
 *  the order decides what is done next, so that an answer that was lost costs nothing. */
export async function finish(ctx: Context, order: OrderRow, session: CaSession): Promise<Next> {
  const url = must(order.url, 'an order that was sent has a URL')
  const answer = await postTo(ctx, session, { url })
  const document = orderIn(answer)
  const { status, certificate } = document
  const pause = retryAfterOf(answer.headers['retry-after'], ctx.now()) ?? 1_000
  if (status === 'ready') {
    const csr = Buffer.from(order.csr).toString('base64url')
    await postTo(ctx, session, {
      url: must(order.finalizeUrl, 'and one to end it'),
      payload: { csr },
    })
    return waiting(ctx, order, 'the CA is issuing it', 250)
  }
  if (status === 'processing' || (status === 'valid' && certificate === undefined)) {
    return waiting(ctx, order, 'the CA is issuing it', Math.min(pause, 60_000))
  }
  if (status === 'valid' && certificate !== undefined) {
    return take(ctx, order, session, certificate)
  }
  const { problem, detail } = problemIn(document.error)
  throw new CaRefusal(problem, `The order is ${status}: ${detail}`, { status: 403 })
}

async function take(ctx: Context, order: OrderRow, session: CaSession, url: string): Promise<Next> {
  const accept = 'application/pem-certificate-chain'
  const { body } = await postTo(ctx, session, { url, accept })
  const secret = await ctx.db.read.caOrderSecret.findUnique({ where: { orderId: order.id } })
  const sealed = must(secret, 'the key of an order is kept until it has ended').sealed
  const pkcs8 = ctx.seal.open(`ca_order_secret/${order.id}`, Buffer.from(sealed))
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const believed = believe(body.toString('latin1'), {
    ...{ names: order.names, spki: spkiOf(key), keyAlgorithm: order.keyAlgorithm },
    ...{ trustedRoots: session.trustedRoots, now: ctx.now() },
  })
  const host = await ctx.db.read.host.findUnique({
    where: { id: order.hostId },
    include: { tenant: { select: { policy: true } } },
  })
  if (!host) throw new CaRefusal('unwanted', 'The host is gone', { status: 403 })
  const { keyAlgorithm, replacesId, reason } = order
  const now = ctx.now()
  try {
    await ctx.db.transaction(async (tx) => {
      const { count } = await tx.caOrder.updateMany({
        where: { id: order.id, endedAt: null },
        data: { state: 'issued', endedAt: now, message: null, problem: null, failures: 0 },
      })
      if (count === 0) return
      const id = await recordElsewhere(ctx, tx, {
        actor,
        issued: {
          ...{ ...believed, keyAlgorithm, pkcs8, replacesId, reason, authority: order.authority },
          host: { id: host.id, tenantId: host.tenantId, labels: shownJson(Labels, host.labels) },
          tenant: host.tenant,
        },
      })
      await tx.caOrder.update({ where: { id: order.id }, data: { certificateId: id } })
      await due(tx, 'host.certify', { hostId: host.id })
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const message = 'Another certificate of the same serial is on record'
    return failed(ctx, order, new CaRefusal('disbelieved', message, { status: 403 }))
  } finally {
    pkcs8.fill(0)
  }
  return 'now'
}
