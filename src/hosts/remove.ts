import { record } from '../audit/record.ts'
import type { Actor } from '../ground/actor.ts'
import type { Context } from '../ground/context.ts'
import { accessTenant } from '../tenants/access.ts'
import { hostRow, hostView } from './find.ts'
import type { Host } from './host.ts'
import { hostLock, lock } from './lock.ts'
import { withdraw } from './put.ts'

/** Has the host taken off all its clusters; the row goes with the last placement. Again while that is
 *  under way changes nothing. Answers the host as it goes. Throws tenant-unknown, host-unknown. */
export async function removeHost(
  ctx: Context,
  actor: Actor,
  { tenant, name }: { tenant: string; name: string },
): Promise<Host> {
  const { id: tenantId } = await accessTenant(ctx, actor, {
    name: tenant,
    permission: 'write-hosts',
  })
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const found = await hostRow(tx, { tenantId, name })
    await lock(tx, [hostLock(found)])
    const row = await hostRow(tx, { tenantId, name })
    if (row.removedAt !== null) return hostView(row)
    await tx.host.update({ where: { id: row.id }, data: { removedAt: now, updatedAt: now } })
    await withdraw(tx, now, row.placements)
    await record(tx, { actor, now }, 'host.removed', {
      subject: { kind: 'host', id: row.id, name: row.name, tenantId },
      changes: { clusters: row.placements.map(({ cluster }) => cluster.name) },
    })
    return hostView(await hostRow(tx, { tenantId, name }))
  })
}
