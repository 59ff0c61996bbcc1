import type { Context } from '../../core/context.ts'
import { findReserved } from './reserve.ts'
import { signAndRecord } from './sign.ts'

/** How long a request may take before its certificate is settled without it. */
const graceMilliseconds = 120_000

/** Settles certificates that were left `signing` by a process that ended. Answers how many. */
export async function finishCertificates(ctx: Context): Promise<number> {
  const left = await ctx.db.read.certificate.findMany({
    where: {
      tbs: { not: null },
      createdAt: { lt: new Date(ctx.now().getTime() - graceMilliseconds) },
    },
    select: { id: true },
    orderBy: { createdAt: 'asc' },
    take: 500,
  })
  for (const { id } of left) await finishCertificate(ctx, id)
  return left.length
}

/** Signs exactly the bytes that were stored, unless that has been done, and activates the row. The audit
 *  trail names who asked for it, not who finishes it. */
export async function finishCertificate(ctx: Context, id: string): Promise<void> {
  const reserved = await findReserved(ctx, id)
  if (reserved) await signAndRecord(ctx, reserved)
}
