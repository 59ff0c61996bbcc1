import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { findReserved } from './reserve.ts'
import { signAndRecord } from './sign.ts'

/** How long a request may take before its certificate is settled without it. */
const graceMilliseconds = 120_000

/** Settles certificates that were left `signing` by a process that ended. Answers how many. */
export async function finishCertificates(ctx: Context): Promise<number> {
  const before = new Date(ctx.now().getTime() - graceMilliseconds)
  const left = await ctx.db.read.$queryRaw<readonly { readonly id: string }[]>(sql`
    select "id"::text from certificate_signing join certificate on "id" = "certificateId"
    where "createdAt" < ${before} order by "id" limit 500`)
  for (const { id } of left) await finishCertificate(ctx, id)
  return left.length
}

/** Signs exactly the bytes that were stored, unless that has been done, and activates the row. The audit
 *  trail names who asked for it, not who finishes it. A rehearsal leaves it as it is. */
export async function finishCertificate(ctx: Context, id: string): Promise<void> {
  if (ctx.rehearses) return
  const reserved = await findReserved(ctx, id)
  if (reserved) await signAndRecord(ctx, reserved)
}
