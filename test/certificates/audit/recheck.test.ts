import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { recheckCertificates } from '../../../src/certificates/audit/recheck.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { rawSql, sql } from '../../../src/core/database/db.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { keyAlgorithms } from '../../../src/x509/keys/public.ts'
import { admin, openTestContext } from '../../support/context.ts'

const quiet = await openTestContext()
const complaints: object[] = []
const log = { ...quiet.log, error: (facts: object) => void complaints.push(facts) }
const ctx = { ...quiet, log }
/** So late that nothing which is there now is new. */
const hours = (count: number) => ({
  ...ctx,
  now: () => new Date(Date.now() + count * 3_600_000),
})

for (const name of ['one', 'two']) {
  await createAuthority(ctx, admin, {
    name,
    kind: 'root',
    keyAlgorithm: name === 'one' ? 'ECDSA_P256' : 'RSA_2048',
    subject: { commonName: name, organization: 'Prüf & Söhne, "Inc."' },
  })
}
await createTenant(ctx, admin, {
  name: 'shop',
  domains: ['shop.test'],
  defaultAuthority: 'one',
  policy: { ipRanges: ['10.0.0.0/8', '2001:db8::/32'] },
})

async function issue(asked: NewCertificate, at = ctx): Promise<string> {
  const input = { tenant: 'shop', request: asked, idempotencyKey: undefined }
  return (await issueCertificate(at, admin, input)).id
}

const server: NewCertificate = { profile: 'server', dnsNames: ['www.shop.test'] }

test('certificates of every profile and key are what their rows say', async () => {
  const subject = {
    commonName: 'api.shop.test',
    organization: 'Läden, "Söhne" + Co; <1>\\',
    organizationalUnit: '#west = 1',
    country: 'DE',
    locality: '東京',
    state: 'x',
  }
  const names = {
    dnsNames: ['api.shop.test', '*.shop.test'],
    ipAddresses: ['10.1.2.3', '2001:db8::1'],
    emailAddresses: ['post@shop.test'],
    uris: ['https://api.shop.test/a,b?c="d"', 'spiffe://shop.test/ns/test'],
  }
  for (const authority of ['one', 'two']) {
    for (const profile of ['server', 'client', 'peer'] as const) {
      for (const keyAlgorithm of keyAlgorithms) {
        await issue({ authority, profile, keyAlgorithm, subject, ...names })
      }
    }
  }
  await issue({ profile: 'client', subject: { commonName: 'a person' } })
  assert.deepEqual(await recheckCertificates(ctx), { read: 37, findings: 0 })
  assert.deepEqual(complaints, [])
})

test('whatever is changed in a row is found, told of once, and nothing else is', async () => {
  const minute = { ...ctx, now: () => new Date(Date.now() + 60_000) }
  const other = await issue({ ...server, keyAlgorithm: 'ECDSA_P384' }, minute)
  await issue(server)
  const rows = [
    ['serial', `"serial" = overlay("serial" placing '00000000' from 2)`, ['serial']],
    ['notBefore', `"notBefore" = "notBefore" - interval '1 second'`, ['notBefore']],
    ['notAfter', `"notAfter" = "notAfter" + interval '1 second'`, ['notAfter']],
    ['dnsNames', `"dnsNames" = '{www.shop.test,evil.test}'`, ['names']],
    ['ipAddresses', `"ipAddresses" = '{10.0.0.1}'`, ['names']],
    ['subject', `"subject" = '{"commonName":"evil.test"}'`, ['subject']],
    ['organization', `"subject" = '{"organization":"evil"}'`, ['subject']],
    ['spkiSha256', `"spkiSha256" = repeat('0', 64)`, ['spkiSha256']],
    ['fingerprint', `"fingerprintSha256" = repeat('0', 64)`, ['fingerprintSha256']],
    ['keyAlgorithm', `"keyAlgorithm" = 'ED25519'`, ['keyAlgorithm']],
    ['rsa', `"keyAlgorithm" = 'RSA_2048'`, ['keyAlgorithm', 'keyUsage']],
    ['profile', `"profile" = 'client'`, ['extendedKeyUsage']],
    [
      'issuer',
      `"issuerId" = (select i.id from issuer i join authority a on a.id = "authorityId" where a.name = 'two')`,
      ['signature'],
    ],
    [
      'signature',
      `"der" = set_byte("der", length("der") - 1, 1 + get_byte("der", length("der") - 1) % 200)`,
      ['fingerprintSha256', 'signature'],
    ],
    ['der', `"der" = substring("der" for 100)`, ['der']],
    [
      'another certificate',
      `"der" = (select der from certificate where id = '${other}')`,
      ['serial', 'notBefore', 'notAfter', 'fingerprintSha256', 'spkiSha256', 'keyAlgorithm'],
    ],
  ] as const
  const expected = new Map<string, readonly string[]>()
  for (const [, change, fields] of rows) {
    const id = await issue(server)
    await ctx.db.read.$executeRaw(
      sql`update certificate set ${rawSql(change)} where id = ${id}::uuid`,
    )
    expected.set(id, fields)
  }
  const { findings } = await recheckCertificates(ctx)
  assert.equal(findings, rows.length)
  assert.equal(complaints.length, rows.length)
  const again = await recheckCertificates(ctx)
  assert.ok(again.findings >= rows.length)
  const told = await ctx.db.read.auditEvent.findMany({
    where: { action: 'certificate.misrecorded' },
    select: { subjectId: true, changes: true },
  })
  assert.equal(told.length, rows.length)
  for (const { subjectId, changes } of told) {
    const fields = typeof changes === 'object' && changes && 'fields' in changes && changes.fields
    const names = Array.isArray(fields) ? fields : []
    assert.deepEqual(
      names,
      expected.get(subjectId),
      rows.find((row) => row[2] === expected.get(subjectId))?.[0],
    )
  }
})

test('each night reads what is new, and the old in turn, and goes on where it was', async () => {
  await recheckCertificates(ctx)
  // An hour and more later: what there is now is old.
  const late = hours(2)
  await issue(server, late)
  await issue(server, late)
  const total = await ctx.db.read.certificate.count()
  const share = Math.ceil(total / 30)
  const first = await recheckCertificates(late)
  assert.equal(first.read, total + share)
  // The two lie within the hour that is read once more; of the rest, a share.
  assert.equal((await recheckCertificates(late)).read, 2 + share)
  const before = await ctx.db.read.recheck.findUniqueOrThrow({ where: { what: 'certificates' } })
  await recheckCertificates(late)
  const after = await ctx.db.read.recheck.findUniqueOrThrow({ where: { what: 'certificates' } })
  assert.equal(after.newest, before.newest)
  assert.ok((after.rolling ?? '') > (before.rolling ?? ''))
  const turns: (string | null)[] = []
  for (let night = 0; night < 30; night++) {
    await recheckCertificates(late)
    const row = await ctx.db.read.recheck.findUniqueOrThrow({ where: { what: 'certificates' } })
    turns.push(row.rolling)
  }
  assert.ok(turns.includes(null), 'it came to the end and begins anew')
})
