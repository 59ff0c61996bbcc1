import { unsettled } from '../clusters/sync.ts'
import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { due, dueMany, placementKeys } from '../core/database/due.ts'

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
    await dueMany(tx, 'placement.push', placementKeys(placements))
  })
  return placements.length
}

/** How old what was seen of a placement may be, in milliseconds; and how many of a cluster a turn looks
 *  at, so that looks never hold up what was changed: two thousand take an hour. */
const freshness = 10 * 60_000
const batchSize = 40

/** Makes it due that placements which are as they should be are looked at again: first those of which
 *  something has ended since, then the longest unseen, some of each cluster, so that one that does not
 *  answer holds up no other. Answers how many. */
export async function lookAgain(ctx: Context): Promise<number> {
  const now = ctx.now()
  const stale = new Date(now.getTime() - freshness)
  const rows = await ctx.db.read.$queryRaw<readonly Looked[]>(sql`
    select one."id"::text as "placementId", cluster."id"::text as "clusterId"
    from cluster cross join lateral (
      select "id" from placement
      where "clusterId" = cluster."id" and "status" = 'Synced' and "wanted" and (
        "provedAt" is null or "provedAt" <= ${stale}::timestamptz
        or "holdsUntil" <= ${now}::timestamptz)
      order by coalesce("holdsUntil" <= ${now}::timestamptz, false) desc,
        "provedAt" nulls first, "id" limit ${batchSize}::int
    ) one`)
  await ctx.db.transaction(async (tx) => {
    await dueMany(tx, 'placement.look', rows)
  })
  return rows.length
}

/** Makes it due that the Secrets of deliveries are looked at again: what is not as it should be, and what
 *  was not seen for a while. Answers how many. */
export async function lookAtDeliveries(ctx: Context): Promise<number> {
  const stale = new Date(ctx.now().getTime() - freshness)
  const targets = await ctx.db.read.deliveryTarget.findMany({
    where: {
      // What waits for a silent cluster is due when that answers.
      cluster: { silentSince: null },
      OR: [...unsettled.OR, { syncedAt: null }, { syncedAt: { lte: stale } }],
    },
    select: { id: true, clusterId: true },
    orderBy: { syncedAt: { sort: 'asc', nulls: 'first' } },
    take: 500,
  })
  await ctx.db.transaction(async (tx) => {
    const keys = targets.map(({ id: targetId, clusterId }) => ({ targetId, clusterId }))
    await dueMany(tx, 'delivery.reconcile', keys)
  })
  return targets.length
}

type Looked = { readonly placementId: string; readonly clusterId: string }

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
