import { record } from '../audit/record.ts'
import { placeOf } from '../clusters/cluster.ts'
import { clusterRow } from '../clusters/find.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { json, type Tx } from '../core/database/db.ts'
import { shownJson } from '../shared/view.ts'
import { CompleteSpec } from './host.ts'
import { clusterLock, hostLock, lock } from './lock.ts'
import { shownObjects } from './objects.ts'

/** How many placements one transaction forgets. */
const batchSize = 200

type Told = { readonly actor: Actor; readonly now: Date }
type Named = { readonly id: string; readonly name: string }

/** Forgets a cluster that will not come back, with the placements on it. What is on the cluster stays
 *  there, and the audit trail names it. Hosts go on without the cluster; those that were being removed
 *  and waited for it are gone. Cut short, it may be called again. Throws cluster-unknown. */
export async function abandonCluster(ctx: Context, actor: Actor, name: string): Promise<void> {
  allowPlatform(actor, 'write-clusters')
  const { id } = await clusterRow(ctx.db.read, name)
  const told = { actor, now: ctx.now() }
  for (let left = true; left; ) {
    const more = await ctx.db.transaction((tx) => abandonSome(tx, told, { id, name }))
    // What is rehearsed is there again: the first ones stand for all.
    left = more && !ctx.rehearses
  }
}

/** Answers whether more placements may be left; the cluster goes with the last. */
async function abandonSome(tx: Tx, told: Told, cluster: Named): Promise<boolean> {
  // Nobody places a host here meanwhile, and no push ends in between.
  await lock(tx, [clusterLock(cluster.id)])
  const some = await tx.placement.findMany({
    where: { clusterId: cluster.id },
    select: { id: true, tenantId: true, name: true },
    orderBy: { id: 'asc' },
    take: batchSize,
  })
  await lock(tx, some.map(hostLock))
  for (const { id } of some) await abandonPlacement(tx, told, { id, cluster })
  if (some.length === batchSize) return true
  await abandonDeliveries(tx, told, cluster)
  const { count } = await tx.cluster.deleteMany({ where: { id: cluster.id } })
  if (count === 0) return false
  await record(tx, told, 'cluster.removed', {
    subject: { kind: 'cluster', ...cluster, tenantId: null },
    changes: { force: true },
  })
  return false
}

/** Deliveries go on without the cluster, or are gone with their last. */
async function abandonDeliveries(
  tx: Tx,
  told: Told,
  { id: clusterId, name }: Named,
): Promise<void> {
  const targets = await tx.deliveryTarget.findMany({
    where: { clusterId },
    include: { delivery: true },
  })
  await tx.deliveryTarget.deleteMany({ where: { clusterId } })
  for (const { delivery, namespace, secretName } of targets) {
    const { id, tenantId } = delivery
    await tx.delivery.deleteMany({ where: { id, removedAt: { not: null }, targets: { none: {} } } })
    await record(tx, told, 'delivery.abandoned', {
      subject: { kind: 'delivery', id, name: delivery.name, tenantId },
      changes: { cluster: name, objects: [`Secret ${namespace}/${secretName}`] },
    })
  }
}

async function abandonPlacement(
  tx: Tx,
  told: Told,
  { id, cluster }: { id: string; cluster: Named },
): Promise<void> {
  const placement = await tx.placement.findUnique({ where: { id }, include: { host: true } })
  if (!placement) return
  const { host } = placement
  await tx.placement.delete({ where: { id } })
  // Or the same PUT would change nothing once there is a cluster of this name again.
  const spec = shownJson(CompleteSpec, host.spec)
  const clusters = spec.clusters.filter((each) => placeOf(each).cluster !== cluster.name)
  await tx.host.update({ where: { id: host.id }, data: { spec: json({ ...spec, clusters }) } })
  const { count } = await tx.host.deleteMany({
    where: { id: host.id, removedAt: { not: null }, placements: { none: {} } },
  })
  const left = shownObjects(placement.objects)
  await record(tx, told, 'host.abandoned', {
    subject: { kind: 'host', id: host.id, name: host.name, tenantId: host.tenantId },
    changes: {
      cluster: cluster.name,
      objects: left.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`),
      gone: count > 0,
    },
  })
}
