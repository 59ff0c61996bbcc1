import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { day } from '../shared/moment.ts'

/** How long it is kept what receivers were told. */
const kept = 90 * day
const batchSize = 10_000

/** Forgets notices that were sent, or given up, long ago; answers how many. */
export async function forgetNotices(ctx: Context): Promise<number> {
  const before = new Date(ctx.now().getTime() - kept)
  for (let forgotten = 0; ; ) {
    const count = await ctx.db.read.$executeRaw(sql`
      delete from notice where "id" in (select "id" from notice
        where "status" in ('sent', 'dead') and "createdAt" < ${before}::timestamptz
        limit ${batchSize}::int)`)
    forgotten += count
    if (count < batchSize) return forgotten
  }
}
