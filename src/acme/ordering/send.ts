import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { conforms } from '../../shared/shape.ts'
import { type CaSession, directoryOf, jsonIn, postTo } from '../client/protocol.ts'
import { CaRefusal, isPassing } from '../client/refusal.ts'
import {
  type CaOrderDocument,
  isOrder,
  type Next,
  type OrderRow,
  orderIn,
  waiting,
} from './order.ts'
import { renewalIdOf } from './renewals.ts'

/** RFC 8555 7.4. That it is sent is stored first: whose answer was lost is looked for among the orders of the account,
 *  where the CA lists them, and else sent again; one alone is ever finished. */
export async function send(ctx: Context, order: OrderRow, session: CaSession): Promise<Next> {
  const now = ctx.now()
  const { pausedUntil, profile } = order.authority.caAccount ?? {}
  if (pausedUntil && pausedUntil > now) {
    const message = `the CA takes no orders before ${pausedUntil.toISOString()}`
    await waiting(ctx, order, message, 0)
    return pausedUntil
  }
  const lost = order.sentAt === null ? undefined : await lostOrder(ctx, order, session)
  if (order.sentAt === null) {
    await ctx.db.read.caOrder.updateMany({ where: { id: order.id }, data: { sentAt: now } })
  }
  const { url, document } = lost ?? (await newOrder(ctx, order, session, profile ?? null))
  await ctx.db.read.caOrder.updateMany({
    where: { id: order.id, state: 'new' },
    data: {
      ...{ state: 'authorizing', url, finalizeUrl: document.finalize, failures: 0 },
      authorizations: document.authorizations,
    },
  })
  // What somebody was to agree to is agreed to.
  await ctx.db.read.caAccount.updateMany({
    where: { authorityId: order.authorityId, problem: 'userActionRequired' },
    data: { problem: null, message: null },
  })
  return 'now'
}

type Sent = { readonly url: string; readonly document: CaOrderDocument }

async function newOrder(
  ctx: Context,
  order: OrderRow,
  session: CaSession,
  profile: string | null,
): Promise<Sent> {
  const { newOrder: url, renewalInfo } = await directoryOf(ctx, session)
  const identifiers = order.names.map((value) => ({ type: 'dns', value }))
  const payload = { identifiers, ...(profile === null ? {} : { profile }) }
  const replaces = renewalInfo === undefined ? undefined : await replacedBy(ctx, order)
  const answer = await postTo(ctx, session, {
    url,
    payload: { ...payload, ...(replaces === undefined ? {} : { replaces }) },
  }).catch((error: unknown) => {
    // RFC 9773 5: it may know nothing of that one, or have replaced it; a new one is wanted all the same.
    const refused = error instanceof CaRefusal && [404, 409, 400].includes(error.status)
    if (replaces === undefined || !refused) throw error
    return postTo(ctx, session, { url, payload })
  })
  const { location } = answer.headers
  if (location === undefined) throw new CaRefusal('unknown', 'It gave the order no URL')
  return { url: location, document: orderIn(answer) }
}

/** The certificate of the same CA that the order is to take over from, as the CA knows it. */
async function replacedBy(
  ctx: Context,
  { replacesId, authorityId }: OrderRow,
): Promise<string | undefined> {
  if (replacesId === null) return undefined
  const row = await ctx.db.read.certificate.findFirst({
    where: { id: replacesId, authorityId },
    select: { der: true },
  })
  return row?.der ? renewalIdOf(row.der) : undefined
}

/** How many orders of an account are looked through for one whose answer was lost. */
const mostListed = 20

const Account = Type.Object({ orders: Type.String() })
const List = Type.Object({ orders: Type.Array(Type.String()) })

async function lostOrder(
  ctx: Context,
  order: OrderRow,
  session: CaSession,
): Promise<Sent | undefined> {
  const account = await told(ctx, session, session.url ?? '')
  if (!conforms(Account, account)) return undefined
  const list = await told(ctx, session, account.orders)
  if (!conforms(List, list)) return undefined
  for (const url of list.orders.slice(-mostListed).toReversed()) {
    if (await ctx.db.read.caOrder.findFirst({ where: { url }, select: { id: true } })) continue
    const document = await told(ctx, session, url)
    if (!isOrder(document)) continue
    const names = (document.identifiers ?? []).map(({ value }) => value).toSorted()
    const open = document.status === 'pending' || document.status === 'ready'
    if (open && names.join() === order.names.toSorted().join()) return { url, document }
  }
  return undefined
}

/** What is there; undefined: the CA tells nothing of it. A list of orders is not what every CA has. */
async function told(ctx: Context, session: CaSession, url: string): Promise<unknown> {
  try {
    return jsonIn(await postTo(ctx, session, { url }))
  } catch (error) {
    if (!(error instanceof CaRefusal) || isPassing(error)) throw error
    return undefined
  }
}
