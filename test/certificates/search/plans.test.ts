import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditQuery } from '../../../src/audit/event.ts'
import { findAuditEvents } from '../../../src/audit/find.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { listAllCertificates, listCertificates } from '../../../src/certificates/find.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { expiries } from '../../../src/certificates/search/expiries.ts'
import type { CertificateFilter } from '../../../src/certificates/search/filter.ts'
import { sql } from '../../../src/core/database/db.ts'
import { listAllHosts, listHosts } from '../../../src/hosts/find.ts'
import type { HostQuery } from '../../../src/hosts/request/query.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'

// A hundred thousand certificates of a hundred tenants, as copies of one.
const ctx = await openTestContext()
await createAuthority(ctx, admin, {
  name: 'plans',
  kind: 'root',
  subject: { commonName: 'plans' },
})
await createTenant(ctx, admin, {
  name: 'plans',
  domains: ['plans.test'],
  defaultAuthority: 'plans',
})
const { id } = await issueCertificate(ctx, admin, {
  tenant: 'plans',
  request: { profile: 'server', dnsNames: ['www.plans.test'] },
  idempotencyKey: undefined,
})
await ctx.db.read.$executeRaw(sql`
  insert into tenant ("id", "name", "displayName", "foldedName", "createdAt", "updatedAt")
  select md5('t' || n)::uuid, 't' || n, 't' || n, 't' || n, now(), now() from generate_series(1, 100) as n`)
await ctx.db.read.$executeRaw(sql`
  insert into certificate ("id", "tenantId", "authorityId", "issuerId", "profile", "status", "serial",
    "subject", "dnsNames", "keyAlgorithm", "spkiSha256", "keySource", "notBefore", "notAfter", "der",
    "cause", "createdAt", "labels")
  select (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5('id' || n), 1, 19))::uuid,
    md5('t' || 1 + n % 100)::uuid, "authorityId", "issuerId", "profile", 'active', '5' || substr(md5('s' || n), 2),
    "subject", array['www' || n || '.t' || 1 + n % 100 || '.test'], "keyAlgorithm", md5('k' || n),
    "keySource", "notBefore", now() + n % 365 * interval '1 day', 'x', "cause", now(),
    jsonb_build_object('env', case when n % 3 = 0 then 'test' else 'prod' end, 'team', 't' || n % 5000)
  from certificate, generate_series(1, 100000) as n where certificate."id" = ${id}::uuid`)
await ctx.db.read.$executeRaw(sql`vacuum analyze certificate`)

// Twenty thousand hosts of those tenants on one cluster, and as many events.
await ctx.db.read.$executeRaw(sql`
  insert into cluster ("id", "name", "server", "ingressNamespace", "ingressSelector", "ingressAddress",
    "status", "createdAt", "updatedAt")
  values (md5('c')::uuid, 'far', 'https://far.test', 'i', '{}', 'far.test:443', 'Ready', now(), now())`)
await ctx.db.read.$executeRaw(sql`
  insert into host ("id", "tenantId", "name", "spec", "labels", "generation", "createdAt", "updatedAt")
  select md5('h' || n)::uuid, md5('t' || 1 + n % 100)::uuid, 'www' || n || '.t' || 1 + n % 100 || '.test',
    '{"certificate": {"authority": "plans"}}', jsonb_build_object('team', 't' || n % 1000), 1, now(), now()
  from generate_series(1, 20000) as n`)
await ctx.db.read.$executeRaw(sql`
  insert into placement ("id", "tenantId", "hostId", "clusterId", "name", "wanted", "status", "since")
  select md5('p' || "name")::uuid, "tenantId", "id", md5('c')::uuid, "name", true,
    case when "name" like '%77.%' then 'Failed' else 'Synced' end, now() from host`)
await ctx.db.read.$executeRaw(sql`
  insert into audit_event ("at", "actorKind", "actorName", "tenantId", "action", "subjectKind", "subjectId",
    "subjectName", "changes", "requestId")
  select now() - n * interval '1 minute', 'api-key', 'a' || n % 200, "tenantId", 'host.a' || n % 200, 'host',
    "id"::text, "name", '{}', 'r' || n from (select *, row_number() over () as n from host) as host`)
await ctx.db.read.$executeRaw(sql`vacuum analyze host, placement, audit_event`)

/** How often these tables were read from their first row on. */
async function scans(...tables: readonly string[]): Promise<bigint> {
  await ctx.db.read.$queryRaw(sql`select pg_stat_force_next_flush()::text`)
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly scans: bigint }[]>(sql`
    select sum(seq_scan)::bigint as scans from pg_stat_user_tables
    where relname = any(${tables.length > 0 ? [...tables] : ['certificate']})`)
  return row?.scans ?? -1n
}

const filters: readonly CertificateFilter[] = [
  {},
  { expiringWithin: 'P30D' },
  { expiringWithin: 'P30D', authority: 'plans' },
  { expiringWithin: 'P30D', cluster: 'nowhere' },
  { status: 'active', sort: '-notAfter' },
  { sort: '-createdAt' },
  { sort: 'createdAt', profile: 'server' },
  { name: 'www7.t8.test' },
  { name: '*.t8.test' },
  { name: '*.test' },
  { dnsName: '*.t8.test' },
  { host: 'www.t8.test' },
  { cluster: 'nowhere' },
  { serial: 'abcdef' },
  { fingerprint: 'ab'.repeat(32) },
  { publicKey: 'ab'.repeat(32) },
  { label: 'env=prod' },
  { label: 'team=t7' },
  { label: 'env=prod,team=t8', status: 'active' },
  { label: 'none' },
]

test('a reading of the whole table would be counted', async () => {
  const before = await scans()
  await ctx.db.read.$queryRaw(sql`select max(length("der"))::int as longest from certificate`)
  assert.ok((await scans()) > before)
})

test('no list of certificates reads the whole table', async () => {
  for (const filter of filters) {
    const before = await scans()
    const page = await listAllCertificates(ctx, admin, filter)
    const { nextCursor: cursor } = page
    if (cursor !== null) await listAllCertificates(ctx, admin, { ...filter, cursor })
    await listCertificates(ctx, admin, { tenant: 't8', ...filter })
    await expiries(ctx, admin, { within: 'P90D', tenant: 't8' })
    assert.equal(await scans(), before, JSON.stringify(filter))
  }
})

test('no list of hosts reads the whole table', async () => {
  const filters: readonly HostQuery[] = [
    {},
    { sort: '-name' },
    { sort: 'createdAt' },
    { status: 'Failed' },
    { status: 'Failed', cluster: 'far' },
    { cluster: 'far' },
    { authority: 'nobody' },
    { name: 'www7.t8.test' },
    { name: '*.t8.test' },
    { label: 'team=t7' },
  ]
  for (const filter of filters) {
    const before = [await scans('host'), await scans('placement')]
    const page = await listAllHosts(ctx, admin, { ...filter, limit: 5 })
    const { nextCursor: cursor } = page
    if (cursor !== null) await listAllHosts(ctx, admin, { ...filter, limit: 5, cursor })
    await listHosts(ctx, admin, { tenant: 't8', limit: 5, ...filter })
    assert.deepEqual(
      [await scans('host'), await scans('placement')],
      before,
      JSON.stringify(filter),
    )
  }
})

test('no reading of the audit trail reads the whole table', async () => {
  const queries: readonly AuditQuery[] = [
    {},
    { sort: 'seq' },
    { action: 'host.a7' },
    { actor: 'a7' },
    { requestId: 'r7' },
    { tenant: 't8', actor: 'a7' },
    { from: new Date(Date.now() - 3_600_000).toISOString() },
  ]
  for (const query of queries) {
    const before = await scans('audit_event')
    const { nextCursor: cursor } = await findAuditEvents(ctx, admin, { ...query, limit: 5 })
    if (cursor !== null) await findAuditEvents(ctx, admin, { ...query, limit: 5, cursor })
    assert.equal(await scans('audit_event'), before, JSON.stringify(query))
  }
})

test('the histogram of everything reads the index of ends', async () => {
  const before = await scans()
  const found = await expiries(ctx, admin, { within: 'P90D' })
  assert.equal(await scans(), before)
  assert.ok(found.length >= 90)
})
