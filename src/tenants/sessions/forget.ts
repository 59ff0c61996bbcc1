import type { Context } from '../../core/context.ts'
import { idle } from './lifecycle.ts'

/** Forgets the sessions and the sign-in codes that are over; answers how many. */
export async function forgetSessions(ctx: Context): Promise<number> {
  const now = ctx.now()
  const ended = { lte: now }
  const unused = { lte: new Date(now.getTime() - idle) }
  const where = { OR: [{ expiresAt: ended }, { usedAt: unused }] }
  const sessions = await ctx.db.read.session.deleteMany({ where })
  const codes = await ctx.db.read.signInCode.deleteMany({ where: { expiresAt: ended } })
  return sessions.count + codes.count
}
