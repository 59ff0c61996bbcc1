import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Revocable, revoking } from '../../../src/authorities/crl/revocation.ts'
import { getCertificate } from '../../../src/certificates/find.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import type { Actor } from '../../../src/core/actor.ts'
import { newId } from '../../../src/core/context.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { settableReasons } from '../../../src/x509/crl/reasons.ts'
import { issueOne, jobs, keyOf, openTestAuthority, revoke } from '../../authorities/support.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'

let ahead = 0
const ctx = await openTestContext({ now: () => new Date(Date.now() + ahead) })
await openTestAuthority(ctx)
await createTenant(ctx, admin, { name: 'other', domains: ['other.test'] })
const keyId = await keyOf(ctx, 'issuing')

const at = (text: string) => new Date(`2026-01-${text}Z`)
const held: Revocable = { notAfter: at('20T00:00:00'), revokedAt: null, revocationReason: null }
const gone = (reason: string): Revocable => ({
  ...held,
  revokedAt: at('05T00:00:00'),
  revocationReason: reason,
})

const rows: readonly (readonly [
  string,
  Revocable,
  (typeof settableReasons)[number],
  Date,
  object,
])[] = [
  [
    'in force: revoked now, in whole seconds',
    held,
    'superseded',
    new Date('2026-01-10T00:00:00.900Z'),
    { outcome: 'revoked', revokedAt: at('10T00:00:00'), reason: 'superseded' },
  ],
  [
    'in its last second: revoked',
    held,
    'superseded',
    new Date('2026-01-20T00:00:00.900Z'),
    { outcome: 'revoked', revokedAt: at('20T00:00:00'), reason: 'superseded' },
  ],
  ['ended: nothing to revoke', held, 'superseded', at('20T00:00:01'), { outcome: 'expired' }],
  [
    'revoked: stays',
    gone('superseded'),
    'unspecified',
    at('10T00:00:00'),
    { outcome: 'unchanged' },
  ],
  [
    'revoked, then compromised: the first date stays',
    gone('superseded'),
    'keyCompromise',
    at('10T00:00:00'),
    { outcome: 'revoked', revokedAt: at('05T00:00:00'), reason: 'keyCompromise' },
  ],
  [
    'compromised: never made less',
    gone('keyCompromise'),
    'cACompromise',
    at('10T00:00:00'),
    { outcome: 'unchanged' },
  ],
  [
    'revoked, and ended since: stays',
    gone('superseded'),
    'superseded',
    at('25T00:00:00'),
    { outcome: 'unchanged' },
  ],
]
for (const [name, certificate, reason, now, expected] of rows) {
  test(`a certificate ${name}`, () =>
    assert.deepEqual(revoking(certificate, { reason, now }), expected))
}

test('every settable reason is stored and shown', async () => {
  for (const reason of settableReasons) {
    const leaf = await issueOne(ctx)
    assert.deepEqual([leaf.revokedAt, leaf.revocationReason], [null, null])
    const shown = await revoke(ctx, leaf, reason)
    assert.equal(shown.status, 'revoked')
    assert.equal(shown.revocationReason, reason)
    assert.ok(shown.revokedAt && Date.parse(shown.revokedAt) <= Date.now())
    const read = await getCertificate(ctx, admin, { tenant: 'example', id: leaf.id })
    assert.deepEqual(read, shown)
  }
})

test('revoking twice, or many times at once, changes and tells of it once', async () => {
  const leaf = await issueOne(ctx)
  const answers = await Promise.all(Array.from({ length: 6 }, () => revoke(ctx, leaf)))
  ahead = 90_000
  const later = await revoke(ctx, leaf, 'superseded')
  ahead = 0
  assert.equal(new Set([...answers, later].map((each) => JSON.stringify(each))).size, 1)
  const upgraded = await revoke(ctx, leaf, 'keyCompromise')
  assert.deepEqual(upgraded, { ...later, revocationReason: 'keyCompromise' })
  const told = await ctx.db.read.auditEvent.findMany({
    where: { action: 'certificate.revoked', subjectId: leaf.id },
    orderBy: { seq: 'asc' },
  })
  const { revokedAt } = later
  assert.deepEqual(
    told.map(({ changes }) => changes),
    [
      { serial: leaf.serial, reason: 'unspecified', revokedAt },
      { serial: leaf.serial, reason: 'keyCompromise', reasonBefore: 'unspecified', revokedAt },
    ],
  )
})

test('what follows is due with the revocation: its lists, and one job however many are revoked', async () => {
  const before = await ctx.db.read.revocationList.findMany({ where: { keyId } })
  for (const leaf of await Promise.all([1, 2, 3].map(() => issueOne(ctx)))) await revoke(ctx, leaf)
  assert.deepEqual(await jobs(ctx, 'authority.publish'), [`authority.publish/${keyId}`])
  const after = await ctx.db.read.revocationList.findMany({ where: { keyId } })
  assert.deepEqual(
    after.map(({ shard, revision }) => [shard, revision]),
    before.map(({ shard, revision }) => [shard, revision + 3n]),
  )
})

test('the host that it served gets another one', async () => {
  const leaf = await issueOne(ctx)
  const { tenantId } = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: leaf.id } })
  const now = ctx.now()
  const id = newId(now)
  const times = { createdAt: now, updatedAt: now }
  await ctx.db.read.host.create({
    data: {
      id,
      tenantId,
      name: 'a.example.com',
      spec: {},
      generation: 1,
      certificateId: leaf.id,
      ...times,
    },
  })
  await revoke(ctx, leaf)
  assert.deepEqual(await jobs(ctx, 'host.certify'), [`host.certify/${id}`])
})

test('one that is still being signed may be out there, and is revoked whole', async () => {
  const leaf = await issueOne(ctx)
  const row = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: leaf.id } })
  const der = Buffer.from(row.der ?? '')
  const tbs = new Uint8Array(der.subarray(4, 4 + 4 + der.readUInt16BE(6)))
  await ctx.db.read.certificate.update({
    where: { id: leaf.id },
    data: { status: 'signing', der: null, tbs, fingerprintSha256: null },
  })
  const shown = await revoke(ctx, leaf)
  assert.equal(shown.status, 'revoked')
  assert.equal(shown.serial, leaf.serial)
})

test('what has ended, is not there, is another’s or may not be revoked, says so', async () => {
  const leaf = await issueOne(ctx, { validityDays: 1 })
  ahead = 2 * 86_400_000
  await assert.rejects(revoke(ctx, leaf), isProblem('certificate-expired'))
  ahead = 0
  const by = (actor: Actor, tenant: string) =>
    revokeCertificate(ctx, actor, { tenant, id: leaf.id, reason: 'unspecified' })
  await assert.rejects(by(admin, 'other'), isProblem('certificate-unknown'))
  await assert.rejects(by(admin, 'nobody'), isProblem('tenant-unknown'))
  const other = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'other' } })
  await assert.rejects(by({ ...admin, tenantId: other.id }, 'example'), isProblem('tenant-unknown'))
  for (const role of ['viewer', 'auditor'] as const) {
    await assert.rejects(by({ ...admin, role }, 'example'), isProblem('forbidden'))
  }
  const read = await getCertificate(ctx, admin, { tenant: 'example', id: leaf.id })
  assert.equal(read.status, 'active')
})
