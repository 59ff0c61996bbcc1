import Type from 'typebox'
import { type Actor, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { dueMany } from '../core/database/due.ts'
import { closed } from '../shared/schema.ts'
import { clusterRow } from './find.ts'

/** How many placements are looked at again. */
export const Synced = closed({ placements: Type.Integer() }, { title: 'ClusterSync' })
export type Synced = Type.Static<typeof Synced>

/** Has every host on the cluster looked at again, and put right what others changed; answers how many. Throws cluster-unknown. */
export async function syncCluster(ctx: Context, actor: Actor, name: string): Promise<Synced> {
  allowPlatform(actor, 'check-clusters')
  return ctx.db.transaction(async (tx) => {
    const { id } = await clusterRow(tx, name)
    await tx.placement.updateMany({ where: { clusterId: id }, data: { takeBack: true } })
    return { placements: await dueOnCluster(tx, id) }
  })
}

/** What is not as it should be: not served as wanted, or no longer wanted. */
export const unsettled: { OR: ({ status: { not: string } } | { wanted: false })[] } = {
  OR: [{ status: { not: 'Synced' } }, { wanted: false }],
}

/** Makes a push due for the placements on the cluster, and for its deliveries: all, or those that are not as
 *  wanted. Answers how many placements. */
export async function dueOnCluster(
  tx: Tx,
  clusterId: string,
  which: 'all' | 'unsettled' = 'all',
): Promise<number> {
  const placements = await tx.placement.findMany({
    where: { clusterId, ...(which === 'all' ? {} : unsettled) },
    select: { id: true },
  })
  const keys = placements.map(({ id: placementId }) => ({ placementId, clusterId }))
  await dueMany(tx, 'placement.push', keys)
  const targets = await tx.deliveryTarget.findMany({
    where: { clusterId, ...(which === 'all' ? {} : unsettled) },
    select: { id: true },
  })
  const others = targets.map(({ id: targetId }) => ({ targetId, clusterId }))
  await dueMany(tx, 'delivery.reconcile', others)
  return placements.length
}
