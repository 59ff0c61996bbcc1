import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { getCertificate } from '../../../src/certificates/find.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { reviewTenant } from '../../../src/certificates/hosts/review.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { renewalsDue } from '../../../src/certificates/renewal/due.ts'
import { renewCertificate, renewDue } from '../../../src/certificates/renewal/renew.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { getHost } from '../../../src/hosts/find.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { changeTenant, createTenant } from '../../../src/tenants/write.ts'
import { jobs } from '../../authorities/support.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openFarCluster } from '../../support/far.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'

const day = 86_400_000
let clock = Date.parse('2026-11-23T12:00:00Z')
const ctx = await openTestContext({ now: () => new Date(clock) })
await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'r' } })
await createTenant(ctx, admin, {
  name: 'example',
  domains: ['example.com'],
  namespaces: ['test'],
  defaultAuthority: 'root',
})
await openFarCluster(ctx)

const order = (asked: Partial<NewCertificate> = {}) =>
  issueCertificate(ctx, admin, {
    tenant: 'example',
    request: { profile: 'server', dnsNames: ['a.example.com'], ...asked },
    idempotencyKey: undefined,
  })
const renew = (id: string, csr?: string, idempotencyKey?: string) =>
  renewCertificate(ctx, admin, { tenant: 'example', id, csr, idempotencyKey })
const read = (id: string) => getCertificate(ctx, admin, { tenant: 'example', id })
const policy = (rules: object) =>
  changeTenant(ctx, admin, { name: 'example', patch: { policy: rules } })

function csrOf(subject: string, key?: string): { csr: string; key: string } {
  const made =
    key ?? openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const csr = openssl(['req', '-new', '-key', 'k.pem', '-subj', subject], { 'k.pem': made })
  return { csr, key: made }
}

test('a certificate is renewed with a new key, and both tell of one another', async () => {
  const old = await order({
    validityDays: 30,
    subject: { organization: 'o' },
    labels: { env: 'prod' },
  })
  const next = await renew(old.id)
  assert.deepEqual([next.replaces, next.reason, next.cause], [old.id, 'asked', 'renewal'])
  assert.deepEqual([next.subject, next.dnsNames], [old.subject, old.dnsNames])
  assert.deepEqual(next.labels, { env: 'prod' })
  assert.notEqual(next.pem, old.pem)
  assert.equal((await read(old.id)).replacedBy, next.id)
  assert.equal(next.replacedBy, null)
  const spkis = await ctx.db.read.certificate.findMany({
    where: { id: { in: [old.id, next.id] } },
    select: { spkiSha256: true },
  })
  assert.equal(new Set(spkis.map(({ spkiSha256 }) => spkiSha256)).size, 2)
  await assert.rejects(renew(old.id), isProblem('certificate-replaced'))
})

test('however many renew it at once, it is replaced by one', async () => {
  const old = await order()
  const next = await Promise.all([renew(old.id), renew(old.id), renew(old.id)])
  assert.equal(new Set(next.map(({ id }) => id)).size, 1)
})

test('the same Idempotency-Key renews once', async () => {
  const old = await order()
  const [first, second] = [
    await renew(old.id, undefined, 'k1'),
    await renew(old.id, undefined, 'k1'),
  ]
  assert.equal(first.id, second.id)
})

test('a certificate of a CSR is renewed by a CSR, of the same names', async () => {
  const { csr } = csrOf('/CN=b.example.com')
  const old = await order({ dnsNames: ['b.example.com'], csr })
  assert.deepEqual(await fieldsOf('certificate-refused', renew(old.id)), ['/csr'])
  const other = csrOf('/CN=b.example.com/O=more').csr
  assert.deepEqual(await fieldsOf('certificate-refused', renew(old.id, other)), ['/csr'])
  const next = await renew(old.id, csrOf('/CN=b.example.com').csr)
  assert.deepEqual([next.replaces, next.keySource], [old.id, 'caller'])
  const auto = order({ csr, autoRenew: true })
  assert.deepEqual(await fieldsOf('certificate-refused', auto), ['/autoRenew'])
})

test('a revoked certificate is replaced for another key only', async () => {
  const { csr, key } = csrOf('/CN=c.example.com')
  const old = await order({ dnsNames: ['c.example.com'], csr })
  await revokeCertificate(ctx, admin, { tenant: 'example', id: old.id, reason: 'superseded' })
  const same = csrOf('/CN=c.example.com', key).csr
  assert.deepEqual(await fieldsOf('certificate-refused', renew(old.id, same)), ['/csr'])
  const next = await renew(old.id, csrOf('/CN=c.example.com').csr)
  assert.equal(next.reason, 'revoked')
})

test('policy is asked on renewal too', async () => {
  const old = await order({ validityDays: 90 })
  await policy({ maxValidityDays: 30 })
  const shorter = await renew(old.id)
  const days = (Date.parse(shorter.notAfter) + 1000 - Date.parse(shorter.notBefore)) / day
  assert.equal(days, 30)
  await policy({ keyAlgorithms: ['RSA_3072'] })
  assert.deepEqual(await fieldsOf('certificate-refused', renew(shorter.id)), ['/keyAlgorithm'])
  await policy({})
})

test('renewBefore of the policy counts, and must leave a lifetime', async () => {
  const both = policy({ renewBefore: { days: 3, percent: 3 } })
  assert.deepEqual(await fieldsOf('request-invalid', both), ['/policy/renewBefore'])
  const never = policy({ renewBefore: { days: 30 }, maxValidityDays: 30 })
  assert.deepEqual(await fieldsOf('request-invalid', never), ['/policy/renewBefore/days'])
  await policy({ renewBefore: { days: 40 } })
  const short = order({ validityDays: 40 })
  assert.deepEqual(await fieldsOf('certificate-refused', short), ['/validityDays'])
  const { renewal, notAfter } = await order({ validityDays: 50 })
  const lead = (Date.parse(notAfter) + 1000 - Date.parse(renewal.at ?? '')) / day
  assert.ok(lead >= 40 && lead <= 45, `${lead} days`)
  await policy({})
})

test('what is due waits for a window of its tenant, unless it would end before that closes', async () => {
  const time = { from: '22:00', to: '02:00' }
  const windows = (days: string[], timeZone = 'Europe/Berlin') =>
    policy({ renewalWindows: { timeZone, windows: [{ days, ...time }] } })
  for (const zone of ['Mars/Olympus', '+01:00']) {
    const wrong = windows(['Monday'], zone)
    assert.deepEqual(await fieldsOf('request-invalid', wrong), ['/policy/renewalWindows/timeZone'])
  }
  const before = clock
  clock = Date.parse('2027-02-01T11:00:00Z')
  const long = await order({ validityDays: 30, autoRenew: true })
  const short = await order({ validityDays: 12, autoRenew: true })
  // A Tuesday; both are due, and Saturday’s window closes four hours after the short one has ended.
  clock = Date.parse('2027-02-23T12:00:00Z')
  const almost = await ctx.db.read.certificate.update({
    where: { id: short.id },
    data: { notAfter: new Date('2027-02-27T21:00:00Z') },
  })
  await windows(['Saturday'])
  await renewalsDue(ctx)
  for (const { id } of [long, almost]) await renewDue(ctx, id)
  const due = await jobs(ctx, 'certificate.renew')
  assert.ok(due.includes(`certificate.renew/${short.id}`))
  assert.ok(!due.includes(`certificate.renew/${long.id}`))
  assert.equal((await read(long.id)).replacedBy, null)
  const early = await read((await read(short.id)).replacedBy ?? '')
  assert.equal(early.reason, 'early')
  const told = await ctx.db.read.auditEvent.findFirstOrThrow({
    where: { action: 'certificate.issued', subjectId: early.id },
  })
  assert.match(JSON.stringify(told.changes), /"reason": ?.*early/)
  // It is looked at as soon as the window opens, and not before.
  const { renewAfter } = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: long.id } })
  assert.equal(renewAfter?.toISOString(), '2027-02-27T21:00:00.000Z')
  clock = Date.parse('2027-02-27T21:00:00Z')
  await renewalsDue(ctx)
  assert.ok((await jobs(ctx, 'certificate.renew')).includes(`certificate.renew/${long.id}`))
  await renewDue(ctx, long.id)
  assert.equal((await read((await read(long.id)).replacedBy ?? '')).reason, 'due')
  await policy({})
  clock = before
})

test('what asked for it is renewed by itself, once, when it is due', async () => {
  const old = await order({ validityDays: 10, autoRenew: true })
  const other = await order({ validityDays: 10 })
  await renewDue(ctx, old.id)
  assert.equal((await read(old.id)).replacedBy, null)
  clock += 8 * day
  assert.ok((await renewalsDue(ctx)) > 0)
  const due = await jobs(ctx, 'certificate.renew')
  assert.ok(due.includes(`certificate.renew/${old.id}`))
  assert.ok(!due.includes(`certificate.renew/${other.id}`))
  await renewDue(ctx, old.id)
  await renewDue(ctx, old.id)
  const { replacedBy, autoRenew } = await read(old.id)
  assert.equal(autoRenew, false)
  const next = await read(replacedBy ?? '')
  assert.deepEqual([next.reason, next.autoRenew, next.replacedBy], ['due', true, null])
})

test('what was revoked is not renewed by itself, what ended meanwhile is', async () => {
  const [gone, ended] = [
    await order({ validityDays: 10, autoRenew: true }),
    await order({ validityDays: 10, autoRenew: true }),
  ]
  await revokeCertificate(ctx, admin, { tenant: 'example', id: gone.id, reason: 'superseded' })
  clock += 11 * day
  await renewDue(ctx, gone.id)
  await renewDue(ctx, ended.id)
  assert.deepEqual(
    [(await read(gone.id)).autoRenew, (await read(gone.id)).replacedBy],
    [false, null],
  )
  assert.equal((await read((await read(ended.id)).replacedBy ?? '')).reason, 'ended')
})

test('a renewal that is refused is tried later and later, and says why', async () => {
  const old = await order({ validityDays: 10, autoRenew: true })
  await policy({ keyAlgorithms: ['RSA_3072'] })
  clock += 8 * day
  await renewDue(ctx, old.id)
  await renewDue(ctx, old.id)
  const { renewal } = await read(old.id)
  assert.equal(renewal.attempts, 2)
  assert.match(renewal.lastError ?? '', /policy allows RSA_3072/)
  assert.equal(Date.parse(renewal.nextAttempt ?? '') - clock, 2 * 3_600_000)
  await policy({})
  const { id } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'example' } })
  assert.ok((await jobs(ctx, 'tenant.review')).includes(`tenant.review/${id}`))
  await reviewTenant(ctx, id)
  assert.equal((await read(old.id)).renewal.attempts, 0)
  await renewDue(ctx, old.id)
  assert.notEqual((await read(old.id)).replacedBy, null)
})

const host = 'h.example.com'
const route = { to: { service: 's', namespace: 'test', port: 80 } }
const certified = async () => {
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: host } })
  await certifyHost(ctx, id)
  return getHost(ctx, admin, { tenant: 'example', name: host })
}

test('a host is given the next certificate when the time has come, or policy changed', async () => {
  const spec = { routes: [route], clusters: ['far'], certificate: { validityDays: 30 } }
  await putHost(ctx, admin, { tenant: 'example', name: host, spec })
  const first = (await certified()).status.certificate?.id ?? ''
  assert.equal((await certified()).status.certificate?.id, first)
  const labels = { env: 'prod' }
  await putHost(ctx, admin, { tenant: 'example', name: host, spec: { ...spec, labels } })
  assert.deepEqual((await read(first)).labels, labels)
  clock += 21 * day
  await renewalsDue(ctx)
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: host } })
  assert.ok((await jobs(ctx, 'host.certify')).includes(`host.certify/${id}`))
  const second = (await certified()).status.certificate?.id ?? ''
  assert.deepEqual([(await read(second)).replaces, (await read(second)).reason], [first, 'due'])
  assert.deepEqual((await read(second)).labels, labels)
  assert.equal((await read(first)).autoRenew, false)
  // Whoever asks waits for no window; nothing else happens outside of one.
  const { id: tenantId } = await ctx.db.read.tenant.findFirstOrThrow()
  const sunday = { days: ['Sunday'], from: '03:00', to: '04:00' }
  await policy({ renewalWindows: { timeZone: 'UTC', windows: [sunday] } })
  await reviewTenant(ctx, tenantId)
  const begun = clock
  clock += 21 * day
  assert.equal((await certified()).status.certificate?.id, second)
  const asked = await renew(second)
  assert.deepEqual([asked.replaces, asked.reason], [second, 'due'])
  clock = begun
  await policy({ maxValidityDays: 20 })
  const third = (await certified()).status.certificate?.id ?? ''
  assert.equal((await read(third)).reason, 'misfit')
  await policy({})
  await certified()
})

test('a host keeps what it has while the next one is refused, and says why', async () => {
  const before = (await certified()).status.certificate?.id ?? ''
  await policy({ keyAlgorithms: ['RSA_3072'] })
  clock += 21 * day
  const { status } = await certified()
  assert.equal(status.certificate?.id, before)
  assert.match(status.clusters[0]?.message ?? '', /not allowed as it is any more.*RSA_3072/)
  assert.notEqual(status.clusters[0]?.status, 'Failed')
  assert.equal((await read(before)).renewal.attempts, 1)
  await certified()
  assert.equal((await read(before)).renewal.attempts, 2)
  await policy({})
  assert.notEqual((await certified()).status.certificate?.id, before)
})

test('the certificate of a host is renewed on the host', async () => {
  const before = (await certified()).status.certificate?.id ?? ''
  const next = await renew(before)
  assert.equal(next.replaces, before)
  assert.equal((await certified()).status.certificate?.id, next.id)
  const { csr } = csrOf('/CN=h.example.com')
  assert.deepEqual(await fieldsOf('certificate-refused', renew(next.id, csr)), ['/csr'])
})

test('the certificate of a host is renewed at once at any fraction of a second', async () => {
  let before = (await certified()).status.certificate?.id ?? ''
  for (const milliseconds of [0, 1, 499, 500, 501, 999]) {
    clock = Math.floor(clock / 1000) * 1000 + 1000 + milliseconds
    const next = await renew(before)
    assert.equal(next.replaces, before, `${milliseconds} ms`)
    before = next.id
  }
})
