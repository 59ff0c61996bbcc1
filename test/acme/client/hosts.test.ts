import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { getCertificate } from '../../../src/certificates/find.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { admin } from '../../support/context.ts'
import { fieldsOf } from '../../support/problem.ts'
import { accountWhen, hostWhen, isSynced, openElsewhere, putOn } from './support.ts'

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
