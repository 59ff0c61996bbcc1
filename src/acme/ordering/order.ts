import Type from 'typebox'
import { findCertifiedHost } from '../../certificates/hosts/order.ts'
import { recordRefusal } from '../../certificates/hosts/outcome.ts'
import { backoff } from '../../certificates/renewal/rules.ts'
import type { Context } from '../../core/context.ts'
import { metersOf } from '../../core/metrics.ts'
import { day } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { conforms } from '../../shared/shape.ts'
import { jsonIn } from '../client/protocol.ts'
import { CaRefusal } from '../client/refusal.ts'

/** An order with what decides about it. */
export type OrderRow = NonNullable<Awaited<ReturnType<typeof readOrder>>>

/** The order of an id. */
export function readOrder(ctx: Context, id: string) {
  return ctx.db.read.caOrder.findUnique({
    where: { id },
    include: {
      authority: { select: { id: true, name: true, retiredAt: true, caAccount: true } },
      challenges: { orderBy: { id: 'asc' } },
    },
  })
}

/** How long an order is tried whose CA is away, says that it is too much, or does not end it. */
export const orderPatience = 3 * day

/** Until when nothing can be done; 'now': there is a next step; undefined: nothing is left to do. */
export type Next = 'now' | Date | undefined

/** Stores what is waited for, and says it where the host has nothing else to say. */
export async function waiting(
  ctx: Context,
  order: OrderRow,
  message: string,
  milliseconds: number,
): Promise<Date> {
  const at = new Date(ctx.now().getTime() + milliseconds)
  const { name } = order.authority
  const said = `Waiting for its certificate of "${name}": ${message}`.slice(0, 2000)
  await ctx.db.transaction(async (tx) => {
    if (order.message !== message) {
      await tx.caOrder.updateMany({ where: { id: order.id, endedAt: null }, data: { message } })
    }
    // A push that ends meanwhile may have said less.
    const otherwise = { OR: [{ message: null }, { message: { not: said } }] }
    const open = { hostId: order.hostId, wanted: true, status: { in: ['Pending', 'Failed'] } }
    await tx.placement.updateMany({ where: { ...open, ...otherwise }, data: { message: said } })
  })
  return at
}

const Order = Type.Object({
  status: Type.String(),
  finalize: Type.String({ maxLength: 2048 }),
  authorizations: Type.Array(Type.String({ maxLength: 2048 }), { maxItems: 100 }),
  certificate: Type.Optional(Type.String({ maxLength: 2048 })),
  identifiers: Type.Optional(
    Type.Array(Type.Object({ type: Type.String(), value: Type.String() }), { maxItems: 100 }),
  ),
  error: Type.Optional(Type.Unknown()),
})
export type CaOrderDocument = Type.Static<typeof Order>

/** Whether a document is an order (RFC 8555 7.1.3). */
export function isOrder(document: unknown): document is CaOrderDocument {
  return conforms(Order, document)
}

/** The order as the CA tells it. Throws CaRefusal for what is none. */
export function orderIn(answer: { readonly body: Buffer }): CaOrderDocument {
  const document = jsonIn(answer)
  if (isOrder(document)) return document
  throw new CaRefusal('unreachable', 'It answers no order (RFC 8555 7.1.3)')
}

/** Counts an order that has ended. */
export function countOrder(
  ctx: Context,
  { authority }: OrderRow,
  outcome: 'issued' | 'failed',
): void {
  metersOf(ctx.config).ordered.inc({ authority: authority.name, outcome })
}

/** Ends the order, and says on the host why; that is tried again by a new one, later and later. */
export async function failed(ctx: Context, order: OrderRow, error: CaRefusal): Promise<Next> {
  const now = ctx.now()
  const host = await findCertifiedHost(ctx, order.hostId)
  let ended = false
  await ctx.db.transaction(async (tx) => {
    const { count } = await tx.caOrder.updateMany({
      where: { id: order.id, endedAt: null },
      data: { state: 'failed', endedAt: now, message: error.message, problem: error.problem },
    })
    ended = count > 0
    if (count === 0 || !host) return
    const { name } = order.authority
    const at = new Date(now.getTime() + backoff(host.certifyFailures + 1))
    const detail = `"${name}" says: ${error.message} (${error.problem}); the next attempt is at ${at.toISOString()}`
    const held = host.certificate
    const urgent = !held || held.status === 'revoked' || held.notAfter <= now
    const why = { message: held ? 'it is to have another' : 'it has none', urgent }
    await recordRefusal(tx, host, { why, error: new Problem('certificate-refused', detail), now })
  })
  if (ended) countOrder(ctx, order, 'failed')
  return 'now'
}
