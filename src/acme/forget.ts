import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { day } from '../shared/moment.ts'
import { forgetNonces } from './nonces.ts'

/** How long orders are kept that came to nothing. */
const kept = 30 * day

/** Forgets used nonces, and in portions orders that came to nothing a month ago, with what belongs to them. Those with
 *  a certificate stay: by them its account revokes it. */
export async function forgetAcme(ctx: Context): Promise<void> {
  await forgetNonces(ctx)
  const before = new Date(ctx.now().getTime() - kept)
  await ctx.db.read.$executeRaw(sql`
    delete from acme_order where "id" in (
      select "id" from acme_order where "certificateId" is null and "status" <> 'processing'
        and "expiresAt" < ${before} limit 10000)`)
}
