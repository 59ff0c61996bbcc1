import { record } from '../audit/record.ts'
import type { Actor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import type { Precondition } from '../core/refusal.ts'
import { accessTenant } from '../tenants/access.ts'
import { findHost, type HostRow, hostRow, viewHost } from './find.ts'
import type { Host } from './host.ts'
import { hostLock, lock } from './lock.ts'
import { holdTo, withdrawPlacements } from './put.ts'

/** Has the host taken off all its clusters; the row goes with the last placement. Again while that is
 *  under way changes nothing. Answers the host as it goes. What else is to be done then, `settle` does in the same
 *  transaction. Throws tenant-unknown, host-unknown, what `expected` throws. */
export async function removeHost(
  ctx: Context,
  actor: Actor,
  { tenant, name }: { tenant: string; name: string },
  expected?: Precondition,
  settle?: (tx: Tx, host: HostRow) => Promise<void>,
): Promise<Host> {
  const { id: tenantId } = await accessTenant(ctx, actor, {
    name: tenant,
    permission: 'write-hosts',
  })
  const host = await hostRow(ctx.db.read, { tenantId, name })
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    await lock(tx, [hostLock(host)])
    if (expected) await holdTo(tx, host, expected)
    const { count } = await tx.host.updateMany({
      where: { id: host.id, removedAt: null },
      data: { removedAt: now, updatedAt: now },
    })
    if (count === 0) return going(tx, host)
    const placements = await tx.placement.findMany({
      where: { hostId: host.id },
      include: { cluster: { select: { name: true } } },
    })
    await withdrawPlacements(tx, now, placements)
    await record(tx, { actor, now }, 'host.removed', {
      subject: { kind: 'host', id: host.id, name: host.name, tenantId },
      changes: { clusters: placements.map(({ cluster }) => cluster.name) },
    })
    await settle?.(tx, host)
    return going(tx, host)
  })
}

/** The host as it goes; a quick worker may have finished already. */
async function going(tx: Tx, host: HostRow): Promise<Host> {
  return viewHost(tx, (await findHost(tx, host.tenantId, host.name)) ?? host)
}
