import type { Context } from '../core/context.ts'
import type { News } from './tell.ts'

/** So often in a row nothing came of it before receivers are told of a CA that is only away: some ten minutes. */
const passingFailures = 6
const mostTold = 500

/** The accounts with CAs elsewhere that are refused, or cannot be told something for a while: of each once a day while that
 *  lasts. */
export async function failingAccounts(ctx: Context): Promise<readonly News[]> {
  const now = ctx.now()
  const rows = await ctx.db.read.caAccount.findMany({
    where: {
      ...{ message: { not: null }, authority: { removedAt: null } },
      OR: [{ state: 'failed' }, { failures: { gte: passingFailures } }],
    },
    select: {
      ...{ state: true, message: true, problem: true, retryAt: true, directory: true },
      authority: {
        select: { id: true, name: true, tenantId: true, tenant: { select: { name: true } } },
      },
    },
    orderBy: { authorityId: 'asc' },
    take: mostTold,
  })
  const today = now.toISOString().slice(0, 10)
  return rows.map(({ authority, state, message, problem, retryAt, directory }) => ({
    key: `account/${authority.id}/${state}/${problem}/${today}`,
    type: 'authority.account-failed',
    tenantId: authority.tenantId,
    since: now,
    data: {
      tenant: authority.tenant?.name ?? null,
      subject: { kind: 'authority', id: authority.id, name: authority.name },
      summary: `authority ${authority.name}: its account with the CA is ${state}: ${message} (${problem})`,
      ...{ state, problem, error: message, directory },
      nextAttempt: retryAt?.toISOString() ?? null,
    },
  }))
}
