import type { Context } from '../ground/context.ts'
import { due } from '../ground/due.ts'

/** Makes every placement due that is not as it should be, the oldest first, so that one whose job ran
 *  out of attempts, or whose cluster came back, is looked at again. Answers how many. */
export async function resyncPlacements(ctx: Context): Promise<number> {
  const placements = await ctx.db.read.placement.findMany({
    where: { OR: [{ status: { not: 'Synced' } }, { wanted: false }] },
    select: { id: true, clusterId: true },
    orderBy: { since: 'asc' },
    take: 1000,
  })
  await ctx.db.transaction(async (tx) => {
    for (const { id: placementId, clusterId } of placements) {
      await due(tx, 'placement.push', { placementId, clusterId })
    }
  })
  return placements.length
}

/** Has every cluster looked at: what waits for one that was away is then due again as soon as it is
 *  back. Answers how many. */
export async function recheckClusters(ctx: Context): Promise<number> {
  const clusters = await ctx.db.read.cluster.findMany({ select: { id: true } })
  await ctx.db.transaction(async (tx) => {
    for (const { id: clusterId } of clusters) await due(tx, 'cluster.check', { clusterId })
  })
  return clusters.length
}
