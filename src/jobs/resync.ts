import { unsettled } from '../clusters/sync.ts'
import type { Context } from '../ground/context.ts'
import { due } from '../ground/due.ts'

/** Makes every placement due that is not as it should be, the oldest first, so that one whose job ran
 *  out of attempts, or whose cluster came back, is looked at again. Answers how many. */
export async function resyncPlacements(ctx: Context): Promise<number> {
  const placements = await ctx.db.read.placement.findMany({
    // What waits for a silent cluster is due when that answers.
    where: { ...unsettled, cluster: { silentSince: null } },
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

/** Has every cluster looked at, in the slow lane those that did not answer last time: what waits for one
 *  that was away is then due again as soon as it is back. Answers how many. */
export async function recheckClusters(ctx: Context): Promise<number> {
  const clusters = await ctx.db.read.cluster.findMany({
    select: { id: true, silentSince: true, unansweredAt: true },
  })
  await ctx.db.transaction(async (tx) => {
    for (const { id: clusterId, silentSince, unansweredAt } of clusters) {
      const lane = silentSince === null && unansweredAt === null ? 'main' : 'slow'
      await due(tx, 'cluster.check', { clusterId }, null, lane)
    }
  })
  return clusters.length
}
