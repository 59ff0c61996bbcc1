import type { Context } from '../../core/context.ts'
import { due } from '../../core/database/due.ts'
import { hour } from '../../shared/moment.ts'

/** How many are made due by one turn; the next one goes on. */
const batchSize = 1000

/** How long a certificate that was made due is left alone. */
const pauseMilliseconds = hour

/** Makes the renewal due of every certificate whose time has come and that is renewed by itself: those
 *  of hosts by their hosts, so that the same Secret gets the next one. Answers how many. */
export async function renewalsDue(ctx: Context): Promise<number> {
  const now = ctx.now()
  const rows = await ctx.db.read.certificate.findMany({
    where: {
      autoRenew: true,
      renewAt: { lte: now },
      OR: [{ renewAfter: null }, { renewAfter: { lte: now } }],
    },
    select: { id: true, hostId: true, status: true, servedBy: { select: { id: true } } },
    orderBy: { renewAt: 'asc' },
    take: batchSize,
  })
  const idle = rows.filter(({ hostId, servedBy }) => hostId !== null && servedBy.length === 0)
  const ids = rows.map(({ id }) => id)
  await ctx.db.transaction(async (tx) => {
    const after = new Date(now.getTime() + pauseMilliseconds)
    await tx.certificate.updateMany({ where: { id: { in: ids } }, data: { renewAfter: after } })
    // Its host has another one by now.
    const left = idle.filter(({ status }) => status !== 'signing').map(({ id }) => id)
    await tx.certificate.updateMany({ where: { id: { in: left } }, data: { autoRenew: false } })
    for (const { id, hostId, servedBy } of rows) {
      if (hostId === null) await due(tx, 'certificate.renew', { certificateId: id })
      for (const host of servedBy) await due(tx, 'host.certify', { hostId: host.id })
    }
  })
  return rows.length
}
