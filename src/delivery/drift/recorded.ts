import type { KubeRef } from '../../clusters/kubernetes/kinds.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'

/** An object that is recorded to carry a host on a cluster. */
export type Carried = {
  readonly placementId: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Of the object as it is wanted; null: it is to go, or an earlier release recorded it. */
  readonly digest: string | null
  /** The cluster has taken it so; else that is about to happen. */
  readonly applied: boolean | null
  /** False: the host is being taken off the cluster. */
  readonly wanted: boolean
}

const columns = sql`one."id"::text as "placementId", "kind", "namespace", it."name", "digest",
  "applied", "wanted"`
const recordset = sql`jsonb_to_recordset("objects")
  as it("kind" text, "namespace" text, "name" text, "digest" text, "applied" boolean)`

/** The objects of the cluster's hosts: of a kind, in a namespace or in all. */
export async function carriedOf(
  ctx: Context,
  clusterId: string,
  { kind, namespace }: { readonly kind: string; readonly namespace?: string | undefined },
): Promise<readonly Carried[]> {
  return ctx.db.read.$queryRaw<Carried[]>(sql`
    select ${columns} from placement one, ${recordset}
    where "clusterId" = ${clusterId}::uuid and "kind" = ${kind}
      and (${namespace ?? null}::text is null or "namespace" = ${namespace ?? null})`)
}

/** Those of these that are recorded. */
export async function carriedAmong(
  ctx: Context,
  clusterId: string,
  refs: readonly KubeRef[],
): Promise<readonly Carried[]> {
  if (refs.length === 0) return []
  return ctx.db.read.$queryRaw<Carried[]>(sql`
    select ${columns} from placement one, ${recordset}
    where "clusterId" = ${clusterId}::uuid
      and ("kind", "namespace", it."name") in (
        select * from unnest(${refs.map(({ kind }) => kind)}::text[],
          ${refs.map(({ namespace }) => namespace)}::text[], ${refs.map(({ name }) => name)}::text[]))`)
}

/** Which kinds of objects of ours there are in which namespaces of the cluster. */
export async function placesOf(ctx: Context, clusterId: string): Promise<readonly Placed[]> {
  return ctx.db.read.$queryRaw<Placed[]>(sql`
    select distinct "kind", "namespace" from placement, jsonb_to_recordset("objects")
      as it("kind" text, "namespace" text)
    where "clusterId" = ${clusterId}::uuid
    union
    select 'Secret', "namespace" from delivery_target where "clusterId" = ${clusterId}::uuid`)
}

type Placed = { readonly kind: string; readonly namespace: string }

/** Where certificates are delivered to as plain Secrets: those of these. */
export async function targetsAmong(
  ctx: Context,
  clusterId: string,
  refs: readonly Pick<KubeRef, 'namespace' | 'name'>[],
): Promise<readonly Target[]> {
  if (refs.length === 0) return []
  return ctx.db.read.$queryRaw<Target[]>(sql`
    select "id"::text, "namespace", "secretName" as "name" from delivery_target
    where "clusterId" = ${clusterId}::uuid and "wanted" and ("namespace", "secretName") in (
      select * from unnest(${refs.map(({ namespace }) => namespace)}::text[],
        ${refs.map(({ name }) => name)}::text[]))`)
}

type Target = { readonly id: string; readonly namespace: string; readonly name: string }

/** The Secrets that certificates were delivered as in a namespace. */
export function targetsIn(
  ctx: Context,
  clusterId: string,
  namespace: string,
): Promise<readonly Target[]> {
  return ctx.db.read.$queryRaw<Target[]>(sql`
    select "id"::text, "namespace", "secretName" as "name" from delivery_target
    where "clusterId" = ${clusterId}::uuid and "namespace" = ${namespace}
      and "wanted" and "certificateId" is not null`)
}

/** Makes it due that what is delivered there is looked at. */
export async function reconcileDue(
  ctx: Context,
  clusterId: string,
  targets: readonly Target[],
): Promise<void> {
  if (targets.length === 0) return
  const keys = targets.map(({ id }) => ({ targetId: id, clusterId }))
  await ctx.db.transaction((tx) => dueMany(tx, 'delivery.reconcile', keys, { urgency: 'repair' }))
}

/** Makes it due that these are put right. */
export async function repairDue(
  ctx: Context,
  clusterId: string,
  placementIds: Iterable<string>,
): Promise<void> {
  const ids = [...new Set(placementIds)]
  for (let start = 0; start < ids.length; start += 500) {
    const keys = ids.slice(start, start + 500).map((placementId) => ({ placementId, clusterId }))
    await ctx.db.transaction((tx) => dueMany(tx, 'placement.push', keys, { urgency: 'repair' }))
  }
}
