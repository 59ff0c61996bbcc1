import { createHash } from 'node:crypto'
import { listAllCertificates, listCertificates } from '../src/certificates/find.ts'
import { expiries } from '../src/certificates/search/expiries.ts'
import type { CertificateFilter } from '../src/certificates/search/filter.ts'
import { sql } from '../src/core/database/db.ts'
import { actor, issueOne } from './revoked.ts'
import { setStage } from './stage.ts'

// Reading among many: node bench/search.ts [certificates] [tenants] [hosts]. What is measured is the
// action, as REST and GraphQL call it, in this process; the seed is always the same.

const [certificates = 1_000_000, tenants = 1_000, hosts = 10_000] = process.argv
  .slice(2)
  .map(Number)
const stage = await setStage()
const { ctx } = stage
const say = (line: string) => process.stdout.write(`${line}\n`)

say(`seeding ${certificates} certificates of ${tenants} tenants, ${hosts} hosts on 20 clusters`)
const { id } = await issueOne(ctx)
await ctx.db.read.$executeRaw(sql`
  insert into tenant ("id", "name", "displayName", "foldedName", "domains", "namespaces", "createdAt", "updatedAt")
  select md5('tenant' || n)::uuid, 'tenant-' || n, 'Tenant ' || n, 'tenant ' || n,
    array['tenant-' || n || '.example.com'], array['t' || n], now(), now()
  from generate_series(1, ${tenants}::int) as n`)
await ctx.db.read.$executeRaw(sql`
  insert into cluster ("id", "name", "server", "ingressNamespace", "ingressSelector", "ingressAddress",
    "status", "createdAt", "updatedAt")
  select md5('cluster' || n)::uuid, 'cluster-' || n, 'https://127.0.0.1:6443', 'istio-system',
    '{"istio": "ingressgateway"}', '127.0.0.1:443', 'Ready', now(), now()
  from generate_series(1, 20) as n`)
await ctx.db.read.$executeRaw(sql`
  insert into host ("id", "tenantId", "name", "spec", "generation", "createdAt", "updatedAt")
  select md5('host' || n)::uuid, md5('tenant' || (1 + n % ${tenants}::int))::uuid,
    'www' || n || '.tenant-' || (1 + n % ${tenants}::int) || '.example.com', '{}', 1, now(), now()
  from generate_series(1, ${hosts}::int) as n`)
await ctx.db.read.$executeRaw(sql`
  insert into placement ("id", "tenantId", "hostId", "clusterId", "name", "wanted", "status", "since", "warnings")
  select gen_random_uuid(), "tenantId", "id", md5('cluster' || (1 + row_number() over (order by "id") % 20))::uuid, "name", true, 'Synced', now(), '{}'
  from host where "spec" = '{}'`)
const step = 50_000
for (let from = 1; from <= certificates; from += step) {
  await ctx.db.read.$executeRaw(sql`
    insert into certificate ("id", "tenantId", "authorityId", "issuerId", "hostId", "profile", "status", "serial",
      "subject", "dnsNames", "ipAddresses", "emailAddresses", "uris", "keyAlgorithm", "spkiSha256",
      "keySource", "notBefore", "notAfter", "der", "fingerprintSha256", "cause", "createdAt",
      "crlShard", "autoRenew", "revokedAt", "revocationReason")
    select (lpad(to_hex(1700000000000 + n::bigint * 1000), 12, '0') || '7' || substr(md5('id' || n), 1, 19))::uuid,
      md5('tenant' || (1 + n % ${tenants}::int))::uuid, "authorityId", "issuerId",
      case when n <= ${hosts}::int then md5('host' || n)::uuid end,
      case when n % 10 = 0 then 'client' else 'server' end,
      case when n % 50 = 0 then 'revoked' else 'active' end,
      '5' || substr(md5('serial' || n), 2), "subject",
      array['www' || n || '.tenant-' || (1 + n % ${tenants}::int) || '.example.com'],
      "ipAddresses", "emailAddresses", "uris", "keyAlgorithm", md5('key' || n) || md5('yek' || n),
      "keySource", now() - interval '60 days', now() + (n::bigint * 7919 % 365) * interval '1 day' - interval '60 days'
        + (n::bigint * 104729 % 86400) * interval '1 second',
      "der", md5('print' || n) || md5('tnirp' || n), "cause", now(), "crlShard", n % 3 = 0,
      case when n % 50 = 0 then now() end, case when n % 50 = 0 then 'superseded' end
    from certificate, generate_series(${from}::int, ${Math.min(certificates, from + step - 1)}::int) as n
    where certificate."id" = ${id}::uuid`)
}
await ctx.db.read.$executeRaw(sql`
  insert into certificate_fingerprint select decode("fingerprintSha256", 'hex'), "id" from certificate
  where "fingerprintSha256" is not null on conflict do nothing`)
say('analysing')
await ctx.db.read.$executeRaw(sql`vacuum analyze certificate`)
await ctx.db.read.$executeRaw(sql`analyze`)

async function timed(what: string, run: (turn: number) => Promise<unknown>, turns = 200) {
  for (let turn = 0; turn < 20; turn++) await run(turn)
  const times: number[] = []
  for (let turn = 0; turn < turns; turn++) {
    const start = performance.now()
    await run(turn)
    times.push(performance.now() - start)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) =>
    (times[Math.min(turns - 1, Math.floor(turns * share))] ?? 0).toFixed(1)
  say(`${what.padEnd(58)} p50 ${at(0.5).padStart(6)} ms   p99 ${at(0.99).padStart(6)} ms`)
}

const all = (filter: CertificateFilter) => listAllCertificates(ctx, actor, filter)
const own = (turn: number, filter: CertificateFilter) =>
  listCertificates(ctx, actor, { tenant: `tenant-${1 + (turn % tenants)}`, ...filter })
const soon = { expiringWithin: 'P30D' } as const

async function cursorAt(page: number): Promise<string | null> {
  const limit = 50
  const rows = await ctx.db.read.$queryRaw<readonly { id: string; at: Date }[]>(sql`
    select "id"::text, "notAfter" as at from certificate where "cause" <> 'probe'
    order by "notAfter", "id" offset ${page * limit - 1}::int limit 1`)
  const [row] = rows
  return row
    ? Buffer.from(JSON.stringify([row.at.toISOString(), row.id])).toString('base64url')
    : null
}

await timed('select 1', () => ctx.db.read.$queryRaw(sql`select 1`))
await timed('first page, all', () => all({}))
const far = await cursorAt(Math.min(10_000, Math.floor(certificates / 100)))
if (far) await timed('ten-thousandth page, all', () => all({ cursor: far }))
await timed('ending in 30 days, all', () => all(soon))
await timed('ending in 30 days, of a tenant', (turn) => own(turn, soon))
await timed('ending in 30 days, of an authority', () =>
  all({ ...soon, authority: 'bench-issuing' }),
)
await timed('ending in 30 days, on a cluster', (turn) =>
  all({ ...soon, cluster: `cluster-${1 + (turn % 20)}` }),
)
await timed('newest first, all', () => all({ sort: '-createdAt' }))
await timed('exact name, all tenants', (turn) =>
  all({ name: `www${turn * 977}.tenant-${1 + ((turn * 977) % tenants)}.example.com` }),
)
await timed('*.tenant-N.example.com, all tenants', (turn) =>
  all({ name: `*.tenant-${1 + (turn % tenants)}.example.com` }),
)
await timed('*.example.com (everything), all tenants', () => all({ name: '*.example.com' }))
await timed('*.example.com in a tenant', (turn) => own(turn, { name: '*.example.com' }))
await timed('*.nowhere.test, all tenants', () => all({ name: '*.nowhere.test' }))
await timed('serial', (turn) => all({ serial: `5${turn}` }))
await timed('fingerprint', (turn) =>
  all({ fingerprint: createHash('md5').update(`print${turn}`).digest('hex').repeat(2) }),
)
await timed(
  'histogram of 90 days, all, per day',
  () => expiries(ctx, actor, { within: 'P90D' }),
  20,
)
await timed('histogram of 90 days, a tenant', (turn) =>
  expiries(ctx, actor, { within: 'P90D', tenant: `tenant-${1 + (turn % tenants)}` }),
)
const { total } = await all({ count: true })
say(JSON.stringify({ total }))
await stage.stop()
