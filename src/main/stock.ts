import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { metersOf } from '../core/metrics.ts'
import { forwardLags } from '../notices/siem/status.ts'

type Row = Readonly<Record<string, string>> & { readonly value: number }

/** Of authorities and clusters no more than so many are told. */
const most = 1_000
/** Of tenants, those whose certificates end first. */
const mostTenants = 100

/** Certificates that end later are not looked at: all of them may have been replaced. */
const horizon = '4 days'

/** Reads the state of things out of the database: statements that read no more of a big table than
 *  what is astray, or ends soon. Throws what the database says. */
export async function readStock(ctx: Context): Promise<void> {
  const { read } = ctx.db
  const meters = metersOf(ctx.config)
  const queue = await read.$queryRaw<readonly { task: string; jobs: number; age: number }[]>(sql`
    select identifier as task, count(*)::int as jobs,
      extract(epoch from now() - min(run_at))::float8 as age
    from graphile_worker._private_jobs as jobs
    join graphile_worker._private_tasks as tasks on tasks.id = task_id
    where run_at <= now() and locked_at is null and attempts < max_attempts group by identifier`)
  meters.jobs.reset()
  meters.age.reset()
  for (const { task, jobs, age } of queue) {
    meters.jobs.set({ task }, jobs)
    meters.age.set({ task }, age)
  }
  const astray = await read.$queryRaw<readonly Row[]>(sql`
    select cluster.name as cluster, placement.status, count(*)::int as value from placement
    join cluster on cluster.id = placement."clusterId" where placement.status <> 'Synced'
    group by cluster.name, placement.status order by cluster.name limit ${most}`)
  replace(meters.astray, astray)
  const targets = await read.$queryRaw<readonly Row[]>(sql`
    select cluster.name as cluster, target.status, count(*)::int as value
    from delivery_target as target join cluster on cluster.id = target."clusterId"
    where target.status <> 'Synced'
    group by cluster.name, target.status order by cluster.name limit ${most}`)
  replace(meters.targets, targets)
  const proved = await read.$queryRaw<readonly Row[]>(sql`
    select name as cluster, extract(epoch from "provedAt")::float8 as value from cluster, lateral (
      select "provedAt" from placement where "clusterId" = cluster.id and status = 'Synced'
      and "provedAt" is not null order by "provedAt" desc limit 1) as last
    order by name limit ${most}`)
  replace(meters.proved, proved)
  const forwards = await forwardLags(ctx)
  meters.forwarded.reset()
  meters.forwardedAge.reset()
  for (const { kind, lagEvents, lagSeconds } of forwards) {
    meters.forwarded.set({ kind }, lagEvents)
    meters.forwardedAge.set({ kind }, lagSeconds)
  }
  await readEnds(ctx)
}

/** When certificates, authorities and lists end: the first of an index each. */
async function readEnds(ctx: Context): Promise<void> {
  const { read } = ctx.db
  const meters = metersOf(ctx.config)
  const nearest = await read.$queryRaw<readonly Row[]>(sql`
    select case when renewed then 'automatic' else 'none' end as renewal,
      extract(epoch from "notAfter")::float8 as value
    from (values (true), (false)) as each (renewed), lateral (
      select "notAfter" from certificate as item where "autoRenew" = renewed and "notAfter" > now()
      and "notAfter" < now() + ${horizon}::interval and "revokedAt" is null and cause <> 'probe'
      and not exists (select from certificate as other
        where other."replacesId" = item.id and other.status = 'active')
      order by "notAfter" limit 1) as first`)
  replace(meters.nearest, nearest)
  const tenants = await read.$queryRaw<readonly Row[]>(sql`
    select tenant.name as tenant, extract(epoch from min("notAfter"))::float8 as value
    from (
      select "tenantId", "notAfter" from certificate as item where "notAfter" > now()
      and "notAfter" < now() + ${horizon}::interval and "revokedAt" is null and cause <> 'probe'
      and not exists (select from certificate as other
        where other."replacesId" = item.id and other.status = 'active')
      order by "notAfter" limit ${most}
    ) as soon join tenant on tenant.id = "tenantId"
    group by tenant.name order by value limit ${mostTenants}`)
  replace(meters.tenants, tenants)
  const authorities = await read.$queryRaw<readonly Row[]>(sql`
    select authority.name as authority, extract(epoch from min(issuer."notAfter"))::float8 as value
    from authority join issuer on issuer."authorityId" = authority.id
    where issuer.issues and authority."removedAt" is null and authority."retiredAt" is null
    group by authority.name order by authority.name limit ${most}`)
  replace(meters.authority, authorities)
  await readElsewhere(ctx)
  const lists = await read.$queryRaw<readonly (Row & { published: number })[]>(sql`
    select authority.name as authority, extract(epoch from min(list."nextUpdate"))::float8 as value,
      extract(epoch from min(list."thisUpdate"))::float8 as published
    from authority join issuer on issuer."authorityId" = authority.id
    join revocation_list as list on list."keyId" = issuer."keyId"
    where issuer.issues and authority."removedAt" is null and list."nextUpdate" is not null
    group by authority.name order by authority.name limit ${most}`)
  replace(
    meters.lists,
    lists.map(({ published: _, ...row }) => row),
  )
  meters.published.reset()
  for (const { authority = '', published } of lists) meters.published.set({ authority }, published)
}

/** How it stands with CAs elsewhere. */
async function readElsewhere(ctx: Context): Promise<void> {
  const { read } = ctx.db
  const meters = metersOf(ctx.config)
  const accounts = await read.$queryRaw<readonly Row[]>(sql`
    select authority.name as authority, (state = 'valid' and failures = 0)::int as value
    from ca_account join authority on authority.id = "authorityId"
    where authority."removedAt" is null order by authority.name limit ${most}`)
  replace(meters.accounts, accounts)
  const orders = await read.$queryRaw<readonly Row[]>(sql`
    select authority.name as authority, state, count(*)::int as value
    from ca_order join authority on authority.id = "authorityId" where "endedAt" is null
    group by authority.name, state order by authority.name limit ${most}`)
  replace(meters.orders, orders)
}

/** What is gone since the last reading is told no longer. */
function replace(
  gauge: { reset: () => void; set: (labels: Record<string, string>, value: number) => void },
  rows: readonly Row[],
): void {
  gauge.reset()
  for (const { value, ...labels } of rows) gauge.set(labels, value)
}
