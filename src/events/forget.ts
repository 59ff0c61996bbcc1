import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { day } from '../shared/moment.ts'

/** How long events are kept for those who come back. */
const kept = 7 * day
const batchSize = 10_000

/** Forgets events that are older than a week, in batches; the newest of them stays, since it says how far
 *  they are gone. So do those that a database has not come to, which was made from the dump of another.
 *  Answers how many. */
export async function forgetEvents(ctx: Context): Promise<number> {
  const before = new Date(ctx.now().getTime() - kept)
  let forgotten = await ctx.db.read.$executeRaw(sql`
    delete from event where "xid" > pg_snapshot_xmax(pg_current_snapshot())::text::bigint`)
  for (;;) {
    const count = await ctx.db.read.$executeRaw(sql`
      delete from event where ("xid", "seq") in (
        select "xid", "seq" from (
          select "xid", "seq", "at", lead("at") over (order by "xid", "seq") as "next"
          from (select "xid", "seq", "at" from event order by "xid", "seq" limit ${batchSize}::int)
            as first) as oldest
        where "at" < ${before}::timestamptz and "next" < ${before}::timestamptz)`)
    forgotten += count
    if (count < batchSize - 1) return forgotten
  }
}
