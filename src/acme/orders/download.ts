import { getCertificate } from '../../certificates/find.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { AccountRow } from '../accounts/find.ts'
import { nothingHere } from './find.ts'

/** The certificate of an order and what is to be sent after it, in PEM (RFC 8555 7.4.2). Throws malformed (404). */
export async function downloadChain(
  ctx: Context,
  actor: Actor,
  { account, id }: { readonly account: AccountRow; readonly id: string },
): Promise<string> {
  const where = { certificateId: id, accountId: account.id }
  const order = await ctx.db.read.acmeOrder.findFirst({ where, select: { id: true } })
  if (!order) throw nothingHere('certificate')
  const tenant = account.key.tenant.name
  const { pem, chainPem } = await getCertificate(ctx, actor, { tenant, id })
  if (pem === null) throw nothingHere('certificate')
  return `${pem.trimEnd()}\n${chainPem}`
}
