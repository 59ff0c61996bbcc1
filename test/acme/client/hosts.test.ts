import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askRenewals } from '../../../src/acme/ordering/renewals.ts'
import { removeAuthority } from '../../../src/authorities/remove.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { getCertificate } from '../../../src/certificates/find.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../../src/certificates/renewal/renew.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { metersOf } from '../../../src/core/metrics.ts'
import { admin } from '../../support/context.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'
import { accountWhen, eventually, hostWhen, isSynced, openElsewhere, putOn } from './support.ts'

const all = await openElsewhere()
const { ctx, ca, world, webhook } = all

test('an account is registered by itself, and told on its authority', async () => {
  const account = await accountWhen(all, 'public', 'valid')
  assert.match(account.url ?? '', /\/acme\/issuing\/account\//)
  assert.equal(account.message, null)
})

test('a host gets its certificate by http-01 through its own gateway, and is served', async () => {
  await putOn(all, 'www.shop.test')
  const host = await hostWhen(all, 'www.shop.test', isSynced)
  const id = host.status.certificate?.id ?? ''
  const certificate = await getCertificate(ctx, admin, { tenant: 'shop', id })
  assert.equal(certificate.authority, 'public')
  assert.deepEqual(certificate.dnsNames, ['www.shop.test'])
  assert.match(certificate.chainPem, /BEGIN CERTIFICATE/)
  const orders = await ctx.db.read.caOrder.findMany()
  assert.deepEqual(
    orders.map(({ state }) => state),
    ['issued'],
  )
  assert.equal(await ca.ctx.db.read.certificate.count(), 1)
  const { values } = await metersOf(ctx.config).ordered.get()
  assert.deepEqual(
    values.map(({ labels, value }) => [labels.authority, labels.outcome, value]),
    [['public', 'issued', 1]],
  )
})

test('a host and a wildcard get theirs by dns-01, of which nothing is left', async () => {
  await putOn(all, '*.shop.test', {
    ...{ aliases: ['shop.test'], certificate: { authority: 'by-dns' } },
  })
  await hostWhen(all, '*.shop.test', isSynced)
  assert.deepEqual(
    webhook.calls
      .map(({ type }) => type)
      .toSorted()
      .slice(0, 2),
    ['dns-01.cleanup', 'dns-01.cleanup'],
  )
  assert.equal(world.txt.size, 0)
})

test('what a CA elsewhere does not certify, or cannot be shown, is refused with the host', async () => {
  const refused = (name: string, spec: object) => fieldsOf('host-refused', putOn(all, name, spec))
  assert.deepEqual(await refused('*.a.shop.test', {}), ['/name'])
  assert.deepEqual(await refused('b.shop.test', { aliases: ['*.b.shop.test'] }), ['/aliases/0'])
  const certificate = { validityDays: 30, organization: 'shop' }
  assert.deepEqual(await refused('c.shop.test', { certificate }), [
    '/certificate/validityDays',
    '/certificate/organization',
  ])
  const tls = { mode: 'MUTUAL', clientAuthority: 'public' } as const
  assert.deepEqual(await refused('d.shop.test', { tls }), ['/tls/clientAuthority'])
})

test('a certificate that no host has is not ordered of a CA elsewhere', async () => {
  const request = { profile: 'server', dnsNames: ['e.shop.test'] } satisfies NewCertificate
  const order = { tenant: 'shop', request, idempotencyKey: undefined }
  const asked = issueCertificate(ctx, admin, order)
  assert.deepEqual(await fieldsOf('certificate-refused', asked), ['/authority'])
})

test('a CA elsewhere is asked when to renew, is told what is replaced, and of revocations', async () => {
  await accountWhen(all, 'public', 'valid')
  await putOn(all, 'r.shop.test')
  const before = await hostWhen(all, 'r.shop.test', isSynced)
  const id = before.status.certificate?.id ?? ''
  assert.ok((await askRenewals(ctx)) > 0)
  const order = await ctx.db.read.caOrder.findFirstOrThrow({ where: { certificateId: id } })
  assert.ok(order.renewalAskAt && order.renewalAskAt > ctx.now())
  const renewal = { tenant: 'shop', id, csr: undefined, idempotencyKey: undefined }
  await assert.rejects(renewCertificate(ctx, admin, renewal), isProblem('certificate-ordered'))
  const renewed = await hostWhen(all, 'r.shop.test', (host) => {
    return isSynced(host) && host.status.certificate?.id !== id
  })
  const next = renewed.status.certificate
  const atCa = await ca.ctx.db.read.certificate.findFirstOrThrow({
    where: { serial: next?.serial ?? '' },
    include: { replaces: { select: { serial: true } } },
  })
  assert.equal(atCa.replaces?.serial, before.status.certificate?.serial)
  await revokeCertificate(ctx, admin, { tenant: 'shop', id, reason: 'superseded' })
  await eventually(async () => {
    const where = { serial: before.status.certificate?.serial ?? '' }
    const row = await ca.ctx.db.read.certificate.findFirstOrThrow({ where })
    assert.equal(row.revocationReason, 'superseded')
  })
})

test('an authority that is removed has its account ended at the CA, and no key of it is held', async () => {
  await all.account('leaving', all.ways.http)
  const { url } = (await accountWhen(all, 'leaving', 'valid')) ?? {}
  await removeAuthority(ctx, admin, 'leaving')
  // As of one that signs here and never signed: the name is free at once.
  await all.account('leaving', all.ways.http)
  await eventually(async () => {
    const id = url?.split('/').at(-1) ?? ''
    const row = await ca.ctx.db.read.acmeAccount.findUniqueOrThrow({ where: { id } })
    assert.equal(row.status, 'deactivated')
    const name = { startsWith: 'leaving/' }
    assert.equal(await ctx.db.read.authority.findFirst({ where: { name } }), null)
  })
  const ended = await ctx.db.read.auditEvent.findFirstOrThrow({
    where: { action: 'authority.account-deactivated' },
  })
  assert.equal(ended.subjectName, 'leaving')
})
