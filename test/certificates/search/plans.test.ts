import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { crowdClusters, raiseCrowd } from '../../../bench/crowd.ts'
import {
  certificatesOfAuthorities,
  certificatesOfTenants,
  clustersOfTenants,
  deliveriesOfTenants,
  hostsOfClusters,
  hostsOfTenants,
} from '../../../src/api/graphql/reading/pages.ts'
import type { AuditQuery } from '../../../src/audit/event.ts'
import { findAuditEvents } from '../../../src/audit/find.ts'
import { listAllCertificates, listCertificates } from '../../../src/certificates/find.ts'
import { expiries } from '../../../src/certificates/search/expiries.ts'
import type { CertificateFilter } from '../../../src/certificates/search/filter.ts'
import { type Sql, sql } from '../../../src/core/database/db.ts'
import { openSession } from '../../../src/core/database/postgres.ts'
import { type DeliveryQuery, listDeliveries } from '../../../src/delivery/secrets/find.ts'
import { listAllHosts, listHosts } from '../../../src/hosts/find.ts'
import type { HostQuery } from '../../../src/hosts/request/query.ts'
import { readStock } from '../../../src/main/stock.ts'
import { day } from '../../../src/shared/moment.ts'
import { admin, openTestContext } from '../../support/context.ts'

// How PostgreSQL reads what lists ask for, among a hundred thousand: kept in plans.txt, with how much it reads, so that
// a change is seen. It is written anew with GATESMITH_KEEP_PLANS=1.

const kept = fileURLToPath(new URL('plans.txt', import.meta.url))
// A day begins: what is asked of certain hours costs the same whenever it is asked.
const today = new Date(Math.floor(Date.now() / day) * day)
const ctx = await openTestContext({ now: () => today })
// What plans are chosen by is the same in every run: statistics of all rows, 300 times as many as the target, and
// indexes that one process builds.
const { pathname } = new URL(ctx.config.databaseUrl)
const settings = { default_statistics_target: 400, max_parallel_maintenance_workers: 0 }
// By a session of its own: connections that are open already do not hear of it.
const session = await openSession(ctx.config.databaseUrl)
for (const [name, value] of Object.entries(settings)) {
  await session.query(`alter database ${pathname.slice(1)} set ${name} = ${value}`)
}
await session.close()
// What vacuuming by itself comes upon is a matter of time.
for (const table of ['certificate', 'audit_event', 'host', 'placement', 'delivery']) {
  await ctx.db.statement(`alter table ${table} set (autovacuum_enabled = off)`, [])
}
await raiseCrowd(ctx, {
  certificates: 100_000,
  tenants: 1_000,
  hosts: 12_000,
  events: 100_000,
})
// An index that rows came into one by one has more or fewer pages, where many have the same key.
for (const table of ['host', 'placement']) await ctx.db.statement(`reindex table ${table}`, [])

/** What of a plan is looked at. */
type Node = {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly Plans?: readonly Node[]
}

/** A context that remembers what was asked of the database in SQL. */
function listening() {
  const asked: Sql[] = []
  const read = new Proxy(ctx.db.read, {
    get: (target, name) =>
      name === '$queryRaw'
        ? (query: Sql) => {
            asked.push(query)
            return target.$queryRaw(query)
          }
        : Reflect.get(target, name),
  })
  const rows = <Row>(query: Sql) => {
    asked.push(query)
    return ctx.db.rows<Row>(query)
  }
  return { asked, heard: { ...ctx, db: { ...ctx.db, read, rows } } }
}

async function plansOf(work: (heard: typeof ctx) => Promise<unknown>): Promise<readonly Node[]> {
  const { asked, heard } = listening()
  await work(heard)
  const plans: Node[] = []
  for (const { text, values } of asked) {
    const rows = await ctx.db.statement(`explain (analyze, format json) ${text}`, values)
    const [row] = rows as readonly { 'QUERY PLAN': readonly { Plan: Node }[] }[]
    plans.push(...(row?.['QUERY PLAN'] ?? []).map(({ Plan }) => Plan))
  }
  return plans
}

const nodesOf = (node: Node): readonly Node[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

/** How many rows or entries of an index were looked at. */
function readBy(node: Node): number {
  if (node['Relation Name'] === undefined && node['Index Name'] === undefined) return 0
  const removed =
    (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  return (node['Actual Rows'] + removed) * node['Actual Loops']
}

/** What may be read from its first row on: what a service has some tens or hundreds of. */
const small = [
  '_private_jobs',
  '_private_tasks',
  'audit_forward',
  // Of these there are none or few here.
  'audit_link',
  'delivery',
  'delivery_target',
  'tenant',
  'cluster',
  'authority',
  'issuer',
  'revocation_list',
]

/** The plans that were seen, and what is wrong with them. */
const told: string[] = []
const faults: string[] = []

/** Keeps the plan of what is asked, which reads no big table from its first row on and no more rows than that. */
async function keep(
  question: string,
  work: (heard: typeof ctx) => Promise<unknown>,
  most = 20_000,
): Promise<void> {
  const nodes = (await plansOf(work)).flatMap(nodesOf)
  const whole = nodes.filter(
    (node) => node['Node Type'] === 'Seq Scan' && !small.includes(node['Relation Name'] ?? ''),
  )
  const read = nodes.reduce((sum, node) => sum + readBy(node), 0)
  const ways = nodes
    .filter((node) => node['Index Name'] !== undefined || node['Relation Name'] !== undefined)
    .filter((node) => !small.includes(node['Relation Name'] ?? ''))
    .map((node) => `  ${node['Node Type']}: ${node['Index Name'] ?? node['Relation Name']}`)
  told.push(question, `  ${read} rows`, ...new Set(ways))
  const tables = whole.map((node) => node['Relation Name'])
  if (tables.length > 0) faults.push(`${question} reads all of ${tables.join(', ')}`)
  if (read > most) faults.push(`${question} reads ${read} rows`)
}

const within = { expiringWithin: 'P30D' } as const
const certificateFilters: readonly CertificateFilter[] = [
  {},
  within,
  { status: 'active', sort: '-notAfter' },
  { status: 'revoked' },
  { status: 'expired' },
  { renewal: 'failing' },
  { ...within, renewal: 'off' },
  { sort: '-createdAt' },
  { sort: 'createdAt', profile: 'client' },
  { authority: 'crowd-large' },
  { authority: 'crowd-small' },
  { ...within, authority: 'crowd-large' },
  { ...within, authority: 'crowd-small' },
  { cluster: 'cluster-3' },
  { ...within, cluster: 'cluster-3' },
  { cluster: 'nowhere' },
  { host: 'www7.tenant-8.example.com' },
  { name: 'srv8.tenant-1.example.com' },
  { name: '*.tenant-8.example.com' },
  { name: '*.tenant-1.example.com' },
  { name: '*.example.com' },
  { ...within, name: '*.example.com' },
  { ...within, name: '*.tenant-8.example.com' },
  { dnsName: '*.tenant-8.example.com' },
  { serial: 'abcdef' },
  { fingerprint: 'ab'.repeat(32) },
  { publicKey: 'ab'.repeat(32) },
  { label: 'env=prod' },
  { label: 'team=t7' },
  { label: 'env=prod,team=t8', status: 'active' },
  { label: 'none' },
]

test('lists of certificates', async () => {
  for (const filter of certificateFilters) {
    const words = JSON.stringify(filter)
    await keep(`certificates ${words}`, async (heard) => {
      const { nextCursor: cursor } = await listAllCertificates(heard, admin, filter)
      if (cursor !== null) await listAllCertificates(heard, admin, { ...filter, cursor })
    })
    for (const tenant of ['tenant-8', 'tenant-1']) {
      await keep(`certificates of ${tenant} ${words}`, (heard) =>
        listCertificates(heard, admin, { tenant, ...filter }),
      )
    }
  }
})

test('what ends soon on a cluster of many hosts is what there is, page by page', async () => {
  const until = new Date(today.getTime() + 30 * day)
  for (const [sort, direction] of [
    ['notAfter', sql`asc`],
    ['-notAfter', sql`desc`],
  ] as const) {
    const wanted = await ctx.db.rows<{ id: string }>(sql`
      select certificate."id" from certificate join placement using ("tenantId", "hostId")
      where "clusterId" = (select "id" from cluster where "name" = 'cluster-3') and certificate."status" = 'active'
        and "cause" <> 'probe' and "notAfter" >= ${today} and "notAfter" <= ${until}
      order by "notAfter" ${direction}, certificate."id" ${direction}`)
    const found: string[] = []
    const query = { ...within, cluster: 'cluster-3', sort, limit: 7 }
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await listAllCertificates(ctx, admin, cursor ? { ...query, cursor } : query)
      found.push(...page.items.map(({ id }) => id))
      cursor = page.nextCursor
    }
    assert.ok(wanted.length > 20)
    assert.deepEqual(
      found,
      wanted.map(({ id }) => id),
    )
  }
})

test('histograms', async () => {
  const asked = { within: 'P90D' }
  await keep('expiries', (heard) => expiries(heard, admin, asked), 60_000)
  for (const filter of [
    { tenant: 'tenant-8' },
    { tenant: 'tenant-1' },
    { authority: 'crowd-large' },
    { cluster: 'cluster-3' },
  ]) {
    const words = JSON.stringify(filter)
    await keep(
      `expiries ${words}`,
      (heard) => expiries(heard, admin, { ...asked, ...filter }),
      60_000,
    )
  }
})

test('lists of hosts', async () => {
  const filters: readonly HostQuery[] = [
    {},
    { sort: '-name' },
    { sort: 'createdAt' },
    { status: 'Failed' },
    { status: 'Failed', cluster: 'cluster-3' },
    { cluster: 'cluster-3' },
    { authority: 'nobody' },
    { name: 'www7.tenant-8.example.com' },
    { name: '*.tenant-8.example.com' },
    { label: 'team=t7' },
  ]
  for (const filter of filters) {
    const words = JSON.stringify(filter)
    await keep(`hosts ${words}`, async (heard) => {
      const { nextCursor: cursor } = await listAllHosts(heard, admin, filter)
      if (cursor !== null) await listAllHosts(heard, admin, { ...filter, cursor })
    })
    await keep(`hosts of tenant-8 ${words}`, (heard) =>
      listHosts(heard, admin, { tenant: 'tenant-8', ...filter }),
    )
  }
})

test('lists of deliveries', async () => {
  const filters: readonly DeliveryQuery[] = [
    {},
    { status: 'Failed' },
    { cluster: 'cluster-3' },
    { namespace: 'ns-5' },
  ]
  for (const filter of filters) {
    await keep(`deliveries of tenant-8 ${JSON.stringify(filter)}`, (heard) =>
      listDeliveries(heard, admin, { tenant: 'tenant-6', ...filter }),
    )
  }
})

test('lists below others', async () => {
  const parents = ['tenant-1', 'tenant-6', 'tenant-8']
  const ask = { actor: admin, parents, query: { limit: 5 } }
  await keep('hosts below tenants', (heard) => hostsOfTenants.page({ ctx: heard, ...ask }))
  await keep('certificates below tenants', (heard) =>
    certificatesOfTenants.page({ ctx: heard, ...ask }),
  )
  await keep('expiring certificates below tenants', (heard) =>
    certificatesOfTenants.page({ ctx: heard, ...ask, query: { limit: 5, ...within } }),
  )
  await keep('clusters below tenants', (heard) => clustersOfTenants.page({ ctx: heard, ...ask }))
  await keep('deliveries below tenants', (heard) =>
    deliveriesOfTenants.page({ ctx: heard, ...ask }),
  )
  const clusters = Array.from({ length: crowdClusters }, (_, n) => `cluster-${n + 1}`)
  await keep('hosts below clusters', (heard) =>
    hostsOfClusters.page({ ctx: heard, ...ask, parents: clusters }),
  )
  await keep('certificates below authorities', (heard) =>
    certificatesOfAuthorities.page({ ctx: heard, ...ask, parents: ['crowd-large', 'crowd-small'] }),
  )
})

test('readings of the audit trail', async () => {
  const moment = (days: number) => new Date(today.getTime() - days * day).toISOString()
  const month = { from: moment(395), to: moment(365) }
  const queries: readonly AuditQuery[] = [
    {},
    { sort: 'seq' },
    { tenant: 'tenant-8' },
    { action: 'host.changed' },
    { action: 'authority.rotated' },
    { tenant: 'tenant-8', action: 'access.refused' },
    { tenant: 'tenant-1', action: 'authority.rotated' },
    { actor: 'portal' },
    { actor: 'ci-7' },
    { actor: 'nobody' },
    { actor: 'ci-7', action: 'host.changed' },
    { tenant: 'tenant-8', actor: 'portal' },
    { subjectKind: 'host', subjectId: 'nowhere' },
    { subjectKind: 'host', subject: 'host7' },
    { address: '192.0.2.7' },
    { requestId: 'nowhere' },
    { from: moment(1) },
    month,
    { ...month, tenant: 'tenant-8' },
    { ...month, tenant: 'tenant-1' },
    { ...month, action: 'host.changed' },
    { ...month, actor: 'ci-7' },
  ]
  for (const query of queries) {
    const words = JSON.stringify(query).replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '…')
    await keep(`audit events ${words}`, async (heard) => {
      const { nextCursor: cursor } = await findAuditEvents(heard, admin, query)
      if (cursor !== null) await findAuditEvents(heard, admin, { ...query, cursor })
    })
  }
})

test('what /metrics reads', () => keep('metrics', readStock, 3_000))

test('none of them reads a whole table, or many rows for a page', () => {
  assert.deepEqual(faults, [])
})

type Plan = { readonly rows: number; readonly lines: readonly string[] }

/** Each question with its plan. */
function plansIn(lines: readonly string[]): ReadonlyMap<string, Plan> {
  const starts = lines.flatMap((line, at) => (line.startsWith('  ') ? [] : [at]))
  return new Map(
    starts.map((at, n) => {
      const [question = '', rows = '', ...ways] = lines.slice(at, starts[n + 1])
      return [question, { rows: Number.parseInt(rows, 10), lines: ways }]
    }),
  )
}

test('the plans are those that were kept, and none reads much more than then', () => {
  if (process.env.GATESMITH_KEEP_PLANS === '1') writeFileSync(kept, `${told.join('\n')}\n`)
  const before = plansIn(readFileSync(kept, 'utf8').trimEnd().split('\n'))
  const now = plansIn(told)
  const waysOf = (plans: typeof now) =>
    [...plans].map(([question, { lines }]) => [question, ...lines])
  assert.deepEqual(waysOf(now), waysOf(before))
  // What /metrics reads is a matter of the hour.
  const worse = [...now].filter(([question, { rows }]) => {
    const most = 2 * (before.get(question)?.rows ?? 0) + 200
    return !(rows <= most)
  })
  assert.deepEqual(
    worse.map(([question, plan]) => ({ question, now: plan, before: before.get(question) })),
    [],
  )
})

test('a reading of a whole table is seen', async () => {
  const all = sql`select max(length("der"))::int as longest from certificate`
  await keep('all', (heard) => heard.db.read.$queryRaw(all))
  assert.deepEqual(faults, ['all reads all of certificate', 'all reads 100002 rows'])
})
