import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import type { NewCertificate } from '../../src/certificates/certificate.ts'
import { getCertificate } from '../../src/certificates/find.ts'
import { issueCertificates } from '../../src/certificates/issuance/batch.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { renewCertificate, renewDue } from '../../src/certificates/renewal/renew.ts'
import { advanceReplacement, orderReplacement } from '../../src/certificates/replacement/replace.ts'
import { sql } from '../../src/core/database/db.ts'
import { Problem } from '../../src/shared/problem.ts'
import { changeTenant, createTenant } from '../../src/tenants/write.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { spkiOf } from '../../src/x509/keys/public.ts'
import { keySigner } from '../../src/x509/keys/sign.ts'
import { type AltNames, noAltNames } from '../../src/x509/names/altnames.ts'
import { admin } from '../support/context.ts'
import { fieldsOf } from '../support/problem.ts'
import { createRequest } from '../support/request.ts'
import { openStage, placementOf, put, work } from './support.ts'

const { ctx } = await openStage()

const issue = (asked: NewCertificate) =>
  issueCertificate(ctx, admin, { tenant: 'shop', request: asked, idempotencyKey: undefined })

const renew = (id: string, csr?: string) =>
  renewCertificate(ctx, admin, { tenant: 'shop', id, csr, idempotencyKey: undefined })

async function csrOf(names: Partial<AltNames>): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const altNames = { ...noAltNames, ...names }
  const signer = keySigner(privateKey)
  const request = { subject: {}, altNames, spki: spkiOf(publicKey), signer }
  return toPem('CERTIFICATE REQUEST', await createRequest(request))
}

/** Each a way in which a certificate speaks for sub.a.shop.test. */
const ways = new Map<string, NewCertificate>([
  ['/dnsNames/0', { profile: 'server', dnsNames: ['*.a.shop.test'], autoRenew: true }],
  ['/dnsNames/1', { profile: 'server', dnsNames: ['www.shop.test', 'x.sub.a.shop.test'] }],
  ['/emailAddresses/0', { profile: 'client', emailAddresses: ['me@sub.a.shop.test'] }],
  ['/uris/0', { profile: 'client', uris: ['spiffe://Sub.A.shop.test/me'] }],
  ['/subject/commonName', { profile: 'client', subject: { commonName: '*.A.shop.test' } }],
])

test('a domain that is given to another tenant takes with it what speaks for it, and says so', async () => {
  const made = new Map<string, string>()
  for (const [field, asked] of ways) made.set(field, (await issue(asked)).id)
  const csr = await csrOf({ dnsNames: ['*.A.shop.test'] })
  made.set('/csr', (await issue({ profile: 'server', csr })).id)
  const apart = await issue({ profile: 'server', dnsNames: ['a.shop.test', '*.b.shop.test'] })
  await put(ctx, '*.a.shop.test')
  await put(ctx, 'b.shop.test')
  const served = await work(ctx, '*.a.shop.test')
  await work(ctx, 'b.shop.test')
  assert.deepEqual(served.status.clusters[0]?.warnings, [])

  const asked = { name: 'annex', domains: ['sub.a.shop.test'] }
  const { affected } = await createTenant(ctx, admin, asked)
  assert.ok(affected)
  assert.deepEqual(affected.hosts, [{ tenant: 'shop', name: '*.a.shop.test' }])
  assert.equal(affected.hostCount, 1)
  assert.deepEqual(
    affected.certificates.map(({ id }) => id).toSorted(),
    [...made.values(), served.status.certificate?.id].toSorted(),
  )
  assert.ok(!affected.certificates.some(({ id }) => id === apart.id))

  // What it has goes on, and says so before anybody looks again and afterwards.
  const warned = async () => (await placementOf(ctx, '*.a.shop.test')).shown
  assert.match((await warned()).warnings.join(), /would cover a domain that is another tenant's/)
  const { status } = await work(ctx, '*.a.shop.test')
  assert.equal(status.certificate?.id, served.status.certificate?.id)
  assert.match((await warned()).warnings.join(), /would cover a domain that is another tenant's/)
  assert.deepEqual((await placementOf(ctx, 'b.shop.test')).shown.warnings, [])
  const jobs = await ctx.db.read.$queryRaw<{ key: string }[]>(
    sql`select key from graphile_worker.jobs where key like 'tenant.review/%'`,
  )
  assert.equal(jobs.length, 1)

  // By no way is there a next one.
  for (const [field, again] of ways) {
    assert.deepEqual(await fieldsOf('certificate-refused', issue(again)), [field])
    const batch = { tenant: 'shop', items: [again], idempotencyKey: undefined }
    const [outcome] = await issueCertificates(ctx, admin, batch)
    assert.ok(outcome && 'problem' in outcome)
    assert.deepEqual(await fieldsOf('certificate-refused', renew(made.get(field) ?? '')), [field])
  }
  const next = await csrOf({ dnsNames: ['*.a.shop.test'] })
  const fromCsr = issue({ profile: 'server', csr: next })
  assert.deepEqual(await fieldsOf('certificate-refused', fromCsr), ['/dnsNames/0'])
  const renewed = renew(made.get('/csr') ?? '', next)
  assert.deepEqual(await fieldsOf('certificate-refused', renewed), ['/dnsNames/0'])
  assert.deepEqual(await fieldsOf('host-refused', put(ctx, '*.a.shop.test')), ['/name'])
  const order = await orderReplacement(ctx, admin, {
    ...{ reason: 'test', where: { tenant: 'shop' } },
  })
  await advanceReplacement(ctx, order.id)
  const wildcard = made.get('/dnsNames/0') ?? ''
  await renewDue(ctx, wildcard)
  const shown = await getCertificate(ctx, admin, { tenant: 'shop', id: wildcard })
  assert.equal(shown.replacedBy, null)
  assert.match(shown.renewal.lastError ?? '', /would cover a domain/)

  // Given back, everything may go on.
  const patch = { domains: [] }
  const back = await changeTenant(ctx, admin, { name: 'annex', patch })
  assert.equal(back.affected, undefined)
  assert.deepEqual((await warned()).warnings, [])
  assert.ok(await renew(made.get('/uris/0') ?? ''))
})

test('a domain that two tenants hold is no other’s, and one that is taken away is', async () => {
  const both = { domains: ['both.test', 'part.both.test'] }
  await createTenant(ctx, admin, { ...both, name: 'left' })
  await createTenant(ctx, admin, { ...both, name: 'right', defaultAuthority: 'house' })
  const wild: NewCertificate = { profile: 'server', dnsNames: ['*.both.test'] }
  const ask = { tenant: 'right', request: wild, idempotencyKey: undefined }
  const { id, serial } = await issueCertificate(ctx, admin, ask)
  const patch = { domains: ['both.test'] }
  const { affected } = await changeTenant(ctx, admin, { name: 'right', patch })
  assert.deepEqual(affected?.certificates, [
    { tenant: 'right', id, serial, names: ['*.both.test'] },
  ])
  assert.deepEqual(await fieldsOf('certificate-refused', issueCertificate(ctx, admin, ask)), [
    '/dnsNames/0',
  ])
})

test('a refusal does not tell whose a domain below a wildcard is, or what it is called', async () => {
  await createTenant(ctx, admin, { name: 'hidden', domains: ['secret.w.shop.test'] })
  for (const work of [
    () => issue({ profile: 'server', dnsNames: ['*.w.shop.test'] }),
    () => put(ctx, '*.w.shop.test'),
  ]) {
    const error: unknown = await work().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    assert.ok(error instanceof Problem)
    assert.doesNotMatch(JSON.stringify([error.message, error.extra]), /secret|hidden/)
  }
})
