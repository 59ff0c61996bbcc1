import type { Context } from '../../core/context.ts'
import { due } from '../../core/database/due.ts'
import { hour } from '../../shared/moment.ts'
import { windowsOf } from '../../tenants/access.ts'
import { renewalState, withIssuer } from './rules.ts'
import { type NextWindow, nextWindow, turnOf } from './windows.ts'

/** How many are made due by one turn; the next one goes on. */
const batchSize = 1000

/** How long a certificate that was made due is left alone. */
const pauseMilliseconds = hour

/** Makes the renewal due of every certificate whose time has come and that is renewed by itself: those
 *  of hosts by their hosts, so that the same Secret gets the next one. What waits for a window of its tenant is left
 *  alone until that opens. Answers how many it looked at. */
export async function renewalsDue(ctx: Context): Promise<number> {
  const now = ctx.now()
  const found = await ctx.db.read.certificate.findMany({
    where: {
      autoRenew: true,
      renewAt: { lte: now },
      OR: [{ renewAfter: null }, { renewAfter: { lte: now } }],
    },
    select: {
      ...{
        id: true,
        hostId: true,
        status: true,
        notAfter: true,
        replacementId: true,
        tenantId: true,
      },
      servedBy: { select: { id: true } },
      tenant: { select: { policy: true } },
      issuer: withIssuer.issuer,
    },
    orderBy: { renewAt: 'asc' },
    take: batchSize,
  })
  const windows = new Map<string, NextWindow>()
  const waiting = found.flatMap((row) => {
    const next = windows.get(row.tenantId) ?? nextWindow(windowsOf(row.tenant), now)
    windows.set(row.tenantId, next)
    const until = waitOf(row, next)
    return until ? [{ id: row.id, until }] : []
  })
  const waits = new Set(waiting.map(({ id }) => id))
  const rows = found.filter(({ id }) => !waits.has(id))
  const idle = rows.filter(({ hostId, servedBy }) => hostId !== null && servedBy.length === 0)
  const ids = rows.map(({ id }) => id)
  await ctx.db.transaction(async (tx) => {
    const after = new Date(now.getTime() + pauseMilliseconds)
    await tx.certificate.updateMany({ where: { id: { in: ids } }, data: { renewAfter: after } })
    for (const [time, those] of Map.groupBy(waiting, ({ until }) => until.getTime())) {
      const where = { id: { in: those.map(({ id }) => id) } }
      await tx.certificate.updateMany({ where, data: { renewAfter: new Date(time) } })
    }
    // Its host has another one by now.
    const left = idle.filter(({ status }) => status !== 'signing').map(({ id }) => id)
    await tx.certificate.updateMany({ where: { id: { in: left } }, data: { autoRenew: false } })
    for (const { id, hostId, servedBy } of rows) {
      if (hostId === null) await due(tx, 'certificate.renew', { certificateId: id })
      for (const host of servedBy) await due(tx, 'host.certify', { hostId: host.id })
    }
  })
  return found.length
}

type DueRow = {
  readonly status: string
  readonly notAfter: Date
} & Parameters<typeof renewalState>[0]

/** When the window opens that it waits for; undefined for what does not wait. */
function waitOf(row: DueRow, next: NextWindow): Date | undefined {
  const { ordered, issuerSigns } = renewalState(row)
  if (row.status !== 'active' || ordered || !issuerSigns) return undefined
  const turn = turnOf(next, row.notAfter)
  return typeof turn === 'object' ? turn.waitsUntil : undefined
}
