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
import { type Believed, believe, type Ordered } from './believe.ts'
import {
  countOrder,
  failed,
  type Next,
  type OrderRow,
  orderIn,
  orderPatience,
  waiting,
} from './order.ts'

const actor = systemActor('host.certify')

/** RFC 8555 7.4: sends the request once all names are proved, and takes the certificate when it is there. The CA's word on
 *  the order decides what is done next, so that an answer that was lost costs nothing. */
export async function finish(ctx: Context, order: OrderRow, session: CaSession): Promise<Next> {
  const url = must(order.url, 'an order that was sent has a URL')
  const answer = await postTo(ctx, session, { url })
  const document = orderIn(answer)
  const { status, certificate } = document
  const retryAfter = retryAfterOf(answer.headers['retry-after'], ctx.now())
  if (status === 'ready') {
    const csr = Buffer.from(order.csr).toString('base64url')
    await postTo(ctx, session, {
      url: must(order.finalizeUrl, 'and one to end it'),
      payload: { csr },
    })
    return waiting(ctx, order, 'the CA is issuing it', 250)
  }
  if (status === 'processing' || (status === 'valid' && certificate === undefined)) {
    const age = ctx.now().getTime() - order.createdAt.getTime()
    if (age > orderPatience) {
      throw new CaRefusal('late', 'The CA did not issue it within three days', { status: 403 })
    }
    const pause = Math.min(Math.max(retryAfter ?? age / 10, 1_000), 60_000)
    return waiting(ctx, order, 'the CA is issuing it', pause)
  }
  if (status === 'valid' && certificate !== undefined) {
    return take(ctx, order, session, certificate)
  }
  const { problem, detail } = problemIn(document.error)
  throw new CaRefusal(problem, `The order is ${status}: ${detail}`, { status: 403 })
}

async function take(ctx: Context, order: OrderRow, session: CaSession, url: string): Promise<Next> {
  const secret = await ctx.db.read.caOrderSecret.findUnique({ where: { orderId: order.id } })
  // It is kept until the order has ended: somebody else was first.
  if (!secret) return 'now'
  const pkcs8 = ctx.seal.open(`ca_order_secret/${order.id}`, Buffer.from(secret.sealed))
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const believed = await believedAt(ctx, session, url, {
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
    countOrder(ctx, order, 'issued')
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const message = 'Another certificate of the same serial is on record'
    return failed(ctx, order, new CaRefusal('disbelieved', message, { status: 403 }))
  } finally {
    pkcs8.fill(0)
  }
  return 'now'
}

/** How many other chains of a certificate are looked at. */
const mostChains = 5

/** The certificate at this URL, if it may be believed, with the first of the chains that the CA offers (RFC 8555 7.4.2) that leads to
 *  a root that is trusted. Throws CaRefusal, which says what is wrong with its usual one. */
async function believedAt(
  ctx: Context,
  session: CaSession,
  url: string,
  ordered: Ordered,
): Promise<Believed> {
  const accept = 'application/pem-certificate-chain'
  const { body, headers } = await postTo(ctx, session, { url, accept })
  try {
    return believe(body.toString('latin1'), ordered)
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    for (const other of alternatesIn(headers.link).slice(0, mostChains)) {
      const { body: chain } = await postTo(ctx, session, { url: other, accept })
      const found = believable(chain.toString('latin1'), ordered)
      if (found) return found
    }
    throw error
  }
}

function believable(pem: string, ordered: Ordered): Believed | undefined {
  try {
    return believe(pem, ordered)
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    return undefined
  }
}

/** The URLs of relation alternate in Link (RFC 8288), whose lines Node has joined by commas. */
function alternatesIn(link: string | readonly string[] | undefined): readonly string[] {
  const said = [link ?? ''].flat().join(', ').slice(0, 8192)
  return [...said.matchAll(/<([^<>]{1,2048})>([^<]*)/g)].flatMap(([, url = '', parameters = '']) =>
    /;\s*rel\s*=\s*("alternate"|alternate\b)/i.test(parameters) ? [url] : [],
  )
}
