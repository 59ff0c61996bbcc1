import { ingressOf } from '../../clusters/find.ts'
import type { KubeRef } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { openCluster } from '../../clusters/kubernetes/open.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'
import { specOf } from '../../hosts/find.ts'
import { Problem } from '../../shared/problem.ts'
import { rendererOf } from '../compare.ts'
import { nameOf } from '../plan.ts'

/** Something of others that was added or changed, or, without the object, that is gone. */
export type Other = { readonly ref: KubeRef; readonly other: KubeObject | undefined }

type Standing = { readonly id: string; readonly status: string }

/** Has the hosts looked at that these are in the way of, and those that say so and may say it no longer. */
export async function othersChanged(
  ctx: Context,
  clusterId: string,
  others: readonly Other[],
): Promise<void> {
  const names = others.map(({ ref }) => nameOf(ref))
  const objects = others.flatMap(({ other }) => (other ? [other] : []))
  const all = [
    ...(await naming(ctx, clusterId, names)),
    ...(await touched(ctx, clusterId, objects)),
  ]
  const concerned = new Map(all.map((each) => [each.id, each]))
  if (concerned.size === 0) return
  await ctx.db.transaction(async (tx) => {
    await tx.cluster.updateMany({ where: { id: clusterId }, data: { othersAt: ctx.now() } })
    const keys = (isSynced: boolean) =>
      [...concerned.values()]
        .filter(({ status }) => (status === 'Synced') === isSynced)
        .map(({ id }) => ({ placementId: id, clusterId }))
    const urgency = 'repair'
    await dueMany(tx, 'placement.look', keys(true), { urgency })
    await dueMany(tx, 'placement.push', keys(false), { urgency })
  })
}

/** The hosts whose status names any of these objects. */
function naming(
  ctx: Context,
  clusterId: string,
  names: readonly string[],
): Promise<readonly Standing[]> {
  return ctx.db.read.$queryRaw<Standing[]>(sql`
    select "id"::text, "status" from placement
    where "clusterId" = ${clusterId}::uuid and "wanted" and exists (
      select from unnest(${[...names]}::text[]) as name
      where strpos(coalesce("message", '') || array_to_string("warnings", ' '), name) > 0)`)
}

const pageSize = 500

/** The hosts that any of these objects is in the way of. */
async function touched(
  ctx: Context,
  clusterId: string,
  objects: readonly KubeObject[],
): Promise<readonly Standing[]> {
  const cluster = await ctx.db.read.cluster.findUnique({ where: { id: clusterId } })
  if (!cluster || objects.length === 0) return []
  const kube = await openCluster(ctx, clusterId)
  const found: Standing[] = []
  let after: string | undefined
  for (;;) {
    const rows = await ctx.db.read.placement.findMany({
      where: { clusterId, wanted: true, ...(after === undefined ? {} : { id: { gt: after } }) },
      select: {
        ...{ id: true, status: true, ingress: true },
        host: { select: { name: true, spec: true } },
      },
      orderBy: { id: 'asc' },
      take: pageSize,
    })
    for (const [name, some] of Map.groupBy(rows, ({ ingress }) => ingress)) {
      const readable = some.flatMap(({ host, ...each }) => {
        const spec = known(() => specOf(host))
        return spec ? [{ ...each, name: host.name, spec }] : []
      })
      const ingress = known(() => ingressOf(cluster, name))
      if (!ingress) continue
      const hit = await rendererOf(cluster).touched(kube, { ingress, objects, hosts: readable })
      found.push(...readable.filter((_, index) => hit[index] === true))
    }
    if (rows.length < pageSize) return found
    after = rows.at(-1)?.id
  }
}

/** What another release stored in words that this one does not know is that one's to look after. */
function known<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Problem) return undefined
    throw error
  }
}
