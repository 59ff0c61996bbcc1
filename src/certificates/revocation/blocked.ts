import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { finishCertificate } from '../issuance/finish.ts'
import { tellOfUploads } from '../uploads/blocked.ts'
import { revokeOne } from './revoke.ts'

/** How many certificates one run revokes before it makes way for other work. */
const batchSize = 500

/** Revokes every certificate in force that has a blocked key, for keyCompromise, also those revoked
 *  for a lesser reason; the rest is due again after a portion. Of uploaded ones it is told, since their CA alone can
 *  revoke them. Once the block is lifted, nothing of it is said any more. */
export async function revokeBlocked(ctx: Context, spkiSha256: string): Promise<void> {
  const blocked = await ctx.db.read.blockedKey.findUnique({ where: { spkiSha256 } })
  const told = { spkiSha256, since: blocked?.since, now: ctx.now() }
  await ctx.db.transaction((tx) => tellOfUploads(tx, told))
  if (!blocked) return
  const rows = await ctx.db.read.certificate.findMany({
    where: {
      spkiSha256,
      // Of what was uploaded its CA alone can say so.
      uploaded: '',
      notAfter: { gte: ctx.now() },
      OR: [
        { status: { not: 'revoked' } },
        { revocationReason: { notIn: ['keyCompromise', 'cACompromise'] } },
      ],
    },
    select: { id: true, status: true },
    orderBy: { id: 'asc' },
    take: batchSize,
  })
  const actor = systemActor('blocked-key.revoke')
  for (const { id, status } of rows) {
    // It may be out there already: it is made whole, then revoked.
    if (status === 'signing') await finishCertificate(ctx, id)
    const revoker = { actor, now: ctx.now() }
    await ctx.db.transaction((tx) => revokeOne(tx, revoker, { id, reason: 'keyCompromise' }))
  }
  if (rows.length < batchSize) return
  await ctx.db.transaction((tx) => due(tx, 'blocked-key.revoke', { spkiSha256 }))
}

/** The net below: a certificate may have been on its way when its key was blocked. Answers how many
 *  keys still have certificates in force. */
export async function sweepBlocked(ctx: Context): Promise<number> {
  const rows = await ctx.db.read.$queryRaw<readonly { spkiSha256: string }[]>(sql`
    select "spkiSha256" from blocked_key where exists (
      select from certificate where certificate."spkiSha256" = blocked_key."spkiSha256"
        and "notAfter" >= ${ctx.now()} and "status" <> 'revoked'
        and ("uploaded" = '' or "renewFailures" = 0 and not exists (
          select from certificate next where next."replacesId" = certificate."id")))`)
  await ctx.db.transaction((tx) => dueMany(tx, 'blocked-key.revoke', rows))
  return rows.length
}
