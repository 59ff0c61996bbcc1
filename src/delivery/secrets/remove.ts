import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { lock } from '../../hosts/lock.ts'
import { accessTenant } from '../../tenants/access.ts'
import { deliveryRow, findDelivery, viewDelivery } from './find.ts'
import { deliveryLock, withdrawTargets } from './put.ts'
import type { Delivery } from './schema.ts'

/** Has the Secret taken off all its clusters; the delivery is gone with the last of them. Again while that is
 *  under way changes nothing. Throws tenant-unknown, delivery-unknown. */
export async function removeDelivery(
  ctx: Context,
  actor: Actor,
  { tenant, name }: { readonly tenant: string; readonly name: string },
): Promise<Delivery> {
  const { id: tenantId } = await accessTenant(ctx, actor, {
    name: tenant,
    permission: 'write-certificates',
  })
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    await lock(tx, [deliveryLock(tenantId, name)])
    const row = await deliveryRow(tx, tenantId, name)
    if (row.removedAt !== null) return viewDelivery(tx, row)
    await tx.delivery.update({ where: { id: row.id }, data: { removedAt: now, updatedAt: now } })
    await withdrawTargets(tx, now, row.targets)
    await record(tx, { actor, now }, 'delivery.removed', {
      subject: { kind: 'delivery', id: row.id, name, tenantId },
      changes: { clusters: row.targets.map(({ cluster }) => cluster.name) },
    })
    return viewDelivery(tx, (await findDelivery(tx, tenantId, name)) ?? row)
  })
}
