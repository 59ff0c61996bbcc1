import assert from 'node:assert/strict'
import { test } from 'node:test'
import { getCertificate } from '../../../src/certificates/find.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { renewalsDue } from '../../../src/certificates/renewal/due.ts'
import { renewCertificate, renewDue } from '../../../src/certificates/renewal/renew.ts'
import {
  advanceReplacement,
  getReplacement,
  orderReplacement,
} from '../../../src/certificates/replacement/replace.ts'
import type { NewReplacement } from '../../../src/certificates/replacement/schema.ts'
import type { Actor } from '../../../src/core/actor.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { changeTenant, createTenant } from '../../../src/tenants/write.ts'
import { issueOne, jobs, openTestAuthority } from '../../authorities/support.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openFarCluster } from '../../support/far.ts'
import { openssl } from '../../support/openssl.ts'
import { isProblem } from '../../support/problem.ts'

const hour = 3_600_000
let clock = Date.now()
const ctx = await openTestContext({ now: () => new Date(clock) })
await openTestAuthority(ctx)
const patch = { namespaces: ['test'] }
await changeTenant(ctx, admin, { name: 'example', patch })
await createTenant(ctx, admin, { name: 'other', domains: ['other.test'] })
await openFarCluster(ctx)

const order = (asked: Omit<NewReplacement, 'reason'>, by: Actor = admin) =>
  orderReplacement(ctx, by, { reason: 'drill', ...asked })
const read = (id: string) => getCertificate(ctx, admin, { tenant: 'example', id })
const progress = async (id: string) => {
  await advanceReplacement(ctx, id)
  await advanceReplacement(ctx, id)
  const { total, done, failed, callers, doneAt } = await getReplacement(ctx, admin, id)
  return { total, done, failed, callers, ended: doneAt !== null }
}
const csr = () =>
  openssl(
    ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'].concat([
      '-keyout',
      'k.pem',
      '-subj',
      '/CN=m.example.com',
    ]),
  )

test('an order replaces what is of one name: hosts, keys made here, and callers when they ask', async () => {
  const name = 'm.example.com'
  const made = await issueOne(ctx, { dnsNames: [name] })
  const kept = await issueOne(ctx, { dnsNames: [name], csr: csr() })
  const untouched = await issueOne(ctx)
  const route = { to: { service: 's', namespace: 'test', port: 80 } }
  const spec = { routes: [route], clusters: ['far'] }
  await putHost(ctx, admin, { tenant: 'example', name, spec })
  const host = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  await certifyHost(ctx, host.id)
  const { id } = await order({ where: { dnsName: 'M.example.com' }, within: 'PT2H' })
  assert.ok((await jobs(ctx, 'replacement.advance')).includes(`replacement.advance/${id}`))
  const begun = { total: 3, done: 0, failed: 0, callers: 1, ended: false }
  assert.deepEqual(await progress(id), begun)
  assert.equal((await read(untouched.id)).renewal.at, untouched.renewal.at)
  const at = Date.parse((await read(made.id)).renewal.at ?? '')
  assert.ok(at >= clock - 1000 && at <= clock + 2 * hour)
  await renewDue(ctx, made.id)
  assert.equal((await progress(id)).done, 1)
  clock += 2 * hour
  await renewalsDue(ctx)
  assert.ok((await jobs(ctx, 'host.certify')).includes(`host.certify/${host.id}`))
  await certifyHost(ctx, host.id)
  assert.deepEqual(await progress(id), { ...begun, done: 2 })
  const again = { tenant: 'example', id: kept.id, idempotencyKey: undefined }
  await renewCertificate(ctx, admin, { ...again, csr: csr() })
  assert.deepEqual(await progress(id), { ...begun, done: 3, callers: 0, ended: true })
  assert.equal((await read((await read(made.id)).replacedBy ?? '')).reason, 'ordered')
  const events = await ctx.db.read.auditEvent.findMany({
    where: { subjectId: id },
    orderBy: { seq: 'asc' },
  })
  assert.deepEqual(
    events.map(({ action }) => action),
    ['replacement.ordered', 'replacement.done'],
  )
})

test('an order that revokes does so when another has taken its place', async () => {
  const old = await issueOne(ctx, { dnsNames: ['r.example.com'] })
  const { id } = await order({ where: { dnsName: 'r.example.com' }, revoke: true, within: 'PT0M' })
  assert.deepEqual(await progress(id), { total: 1, done: 0, failed: 0, callers: 0, ended: false })
  assert.equal((await read(old.id)).status, 'active')
  await renewDue(ctx, old.id)
  assert.equal((await progress(id)).ended, true)
  const { status, revocationReason } = await read(old.id)
  assert.deepEqual([status, revocationReason], ['revoked', 'superseded'])
})

test('what cannot be replaced is counted, and says why', async () => {
  const old = await issueOne(ctx, { dnsNames: ['f.example.com'] })
  const { id } = await order({ where: { dnsName: 'f.example.com' } })
  await progress(id)
  const policy = { keyAlgorithms: ['RSA_3072' as const] }
  await changeTenant(ctx, admin, { name: 'example', patch: { policy } })
  await renewDue(ctx, old.id)
  assert.equal((await progress(id)).failed, 1)
  await changeTenant(ctx, admin, { name: 'example', patch: { policy: {} } })
  await renewDue(ctx, old.id)
  const { done, failed, ended } = await progress(id)
  assert.deepEqual([done, failed, ended], [1, 0, true])
})

test('by key, authority and tenant; a tenant’s admin orders for that tenant', async () => {
  const one = await issueOne(ctx, { dnsNames: ['k.example.com'] })
  const { spkiSha256 } = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: one.id },
    select: { spkiSha256: true },
  })
  assert.equal((await progress((await order({ where: { spkiSha256 } })).id)).total, 1)
  const own = async (name: string, role: Actor['role'] = 'admin') => {
    const { id } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name } })
    return { ...admin, role, tenantId: id }
  }
  const foreign = await order({ where: { authority: 'issuing' } }, await own('other'))
  assert.equal((await progress(foreign.id)).total, 0)
  const seen = getReplacement(ctx, await own('example'), foreign.id)
  await assert.rejects(seen, isProblem('replacement-unknown'))
  const across = order({ where: { tenant: 'example' } }, await own('other'))
  await assert.rejects(across, isProblem('tenant-unknown'))
  const small = order({ where: { tenant: 'example' } }, await own('example', 'operator'))
  await assert.rejects(small, isProblem('forbidden'))
  const all = await order({ where: { tenant: 'example', authority: 'issuing' } })
  assert.ok((await progress(all.id)).total > 0)
})
