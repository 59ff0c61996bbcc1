import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { due } from '../../core/database/due.ts'
import type { AccountRow } from '../accounts/find.ts'
import {
  type Authorization,
  authorizationOf,
  authorizationStatus,
  findAuthorization,
} from '../orders/find.ts'

/** Has a challenge looked for, since its client says that it is there (RFC 8555 7.5.1). One that is looked for
 *  already, or is settled, stays as it is. Answers its authorization. Throws malformed (404). */
export async function respondToChallenge(
  ctx: Context,
  { account, id }: { readonly account: AccountRow; readonly id: string },
): Promise<Authorization> {
  const authorization = await authorizationOf(ctx, account, id)
  if (authorizationStatus(authorization, ctx.now()) !== 'pending') return authorization
  await ctx.db.transaction(async (tx) => {
    const where = { id, status: 'pending' }
    const { count } = await tx.acmeChallenge.updateMany({ where, data: { status: 'processing' } })
    if (count > 0) await due(tx, 'acme.validate', { challengeId: id })
  })
  return findAuthorization(ctx, account, authorization.id)
}

/** Gives an authorization up for its client (RFC 8555 7.5.2); the order that waits for it is invalid. */
export async function deactivateAuthorization(
  ctx: Context,
  actor: Actor,
  { account, id }: { readonly account: AccountRow; readonly id: string },
): Promise<Authorization> {
  const { orderId, value, status, tenantId } = await findAuthorization(ctx, account, id)
  const now = ctx.now()
  const open = ['pending', 'valid']
  if (open.includes(status)) {
    await ctx.db.transaction(async (tx) => {
      const where = { id, status: { in: open } }
      await tx.acmeAuthorization.updateMany({ where, data: { status: 'deactivated' } })
      await tx.acmeOrder.updateMany({
        where: { id: orderId, status: { in: ['pending', 'ready'] } },
        data: { status: 'invalid' },
      })
      await record(tx, { actor, now }, 'acme-order.deauthorized', {
        subject: { kind: 'acme-order', id: orderId, name: value, tenantId },
        changes: { identifier: value },
      })
    })
  }
  return findAuthorization(ctx, account, id)
}
