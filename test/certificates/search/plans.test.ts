import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { listAllCertificates, listCertificates } from '../../../src/certificates/find.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { expiries } from '../../../src/certificates/search/expiries.ts'
import type { CertificateFilter } from '../../../src/certificates/search/filter.ts'
import { sql } from '../../../src/core/database/db.ts'
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

/** How often the table of certificates was read from its first row on. */
async function scans(): Promise<bigint> {
  await ctx.db.read.$queryRaw(sql`select pg_stat_force_next_flush()::text`)
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly scans: bigint }[]>(sql`
    select seq_scan as scans from pg_stat_user_tables where relname = 'certificate'`)
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

test('the histogram of everything reads the index of ends', async () => {
  const before = await scans()
  const found = await expiries(ctx, admin, { within: 'P90D' })
  assert.equal(await scans(), before)
  assert.ok(found.length >= 90)
})
