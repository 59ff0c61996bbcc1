import { chainsFrom } from '../../authorities/issuers/alternates.ts'
import { getCertificate } from '../../certificates/find.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { AccountRow } from '../accounts/find.ts'
import { nothingHere } from './find.ts'

/** A certificate of an order: the chain that it is sent with, or one of the others by its number, from 1. */
export type Download = {
  readonly account: AccountRow
  readonly id: string
  readonly alternate?: number
}

/** The certificate of an order and what is to be sent after it, in PEM, and how many other chains there are (RFC 8555
 *  7.4.2). Throws malformed (404). */
export async function downloadChain(
  ctx: Context,
  actor: Actor,
  { account, id, alternate = 0 }: Download,
): Promise<{ readonly pem: string; readonly alternates: number }> {
  const where = { certificateId: id, accountId: account.id }
  const select = { id: true, certificate: { select: { issuerId: true } } } as const
  const order = await ctx.db.read.acmeOrder.findFirst({ where, select })
  if (!order) throw nothingHere('certificate')
  const tenant = account.key.tenant.name
  const { pem, chainPem } = await getCertificate(ctx, actor, { tenant, id })
  if (pem === null) throw nothingHere('certificate')
  const issuerId = order.certificate?.issuerId ?? null
  const all = issuerId === null ? [] : await chainsFrom(ctx, issuerId)
  const others = all.filter((chain) => chain !== chainPem)
  const chain = alternate === 0 ? chainPem : others[alternate - 1]
  if (chain === undefined) throw nothingHere('certificate')
  return { pem: `${pem.trimEnd()}\n${chain}`, alternates: others.length }
}
