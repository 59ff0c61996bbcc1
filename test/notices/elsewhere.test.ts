import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { advanceAccount } from '../../src/acme/client/account.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { newId } from '../../src/core/context.ts'
import { openMetrics } from '../../src/main/metrics.ts'
import { endingCertificates } from '../../src/notices/endings.ts'
import { putReceiver } from '../../src/notices/put.ts'
import { sweepNotices } from '../../src/notices/sweep.ts'
import type { News } from '../../src/notices/tell.ts'
import { day, hour } from '../../src/shared/moment.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { admin, openTestContext } from '../support/context.ts'

// What is told of trouble with a CA elsewhere, which is away all the time.

let now = new Date()
const ctx = await openTestContext({ now: () => now }, { caRanges: ['127.0.0.0/8'] })
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject, validityDays: 3650 })
const { id: authorityId } = await (async () => {
  await createAuthority(ctx, admin, {
    ...{ name: 'public', kind: 'acme', directory: 'http://127.0.0.1:9/directory' },
    ...{ challenge: { type: 'http-01' }, termsOfServiceAgreed: true },
  })
  return ctx.db.read.authority.findUniqueOrThrow({ where: { name: 'public' } })
})()
await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'], defaultAuthority: 'house' })
await putReceiver(ctx, admin, {
  tenant: null,
  name: 'all',
  spec: { kind: 'webhook', url: 'https://example.com/in' },
})
const metrics = await openMetrics(ctx, { host: '127.0.0.1', port: 0 })
after(metrics.close)

const told = () =>
  ctx.db.read.notice.findMany({
    where: { type: 'authority.account-failed' },
    orderBy: { createdAt: 'asc' },
  })

test('an account whose CA is away for a while is told of, once a day while that lasts', async () => {
  await sweepNotices(ctx)
  for (let failures = 1; failures <= 5; failures++) await advanceAccount(ctx, authorityId)
  await sweepNotices(ctx)
  assert.equal((await told()).length, 0)
  await advanceAccount(ctx, authorityId)
  for (const _ of [1, 2]) await sweepNotices(ctx)
  const [notice, ...more] = await told()
  assert.equal(more.length, 0)
  assert.match(JSON.stringify(notice?.payload), /account with the CA is registering: .*unreachable/)
  now = new Date(now.getTime() + day)
  for (const _ of [1, 2]) await sweepNotices(ctx)
  assert.equal((await told()).length, 2)
})

test('a certificate whose next one is waited for is told of before it ends, with for what', async () => {
  const { id } = await issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: {
      ...{ profile: 'server', dnsNames: ['www.shop.test'], validityDays: 8, autoRenew: true },
    },
    idempotencyKey: undefined,
  })
  const { tenantId, notAfter } = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id } })
  const host = newId(now)
  await ctx.db.read.host.create({
    data: {
      ...{ id: host, tenantId, name: 'www.shop.test', spec: {}, generation: 1, certificateId: id },
      ...{ createdAt: now, updatedAt: now },
    },
  })
  await ctx.db.read.certificate.update({ where: { id }, data: { hostId: host } })
  const within = { from: new Date(notAfter.getTime() - 1), to: notAfter }
  const news = async () => {
    const found: News[] = []
    for await (const some of endingCertificates(ctx, within)) found.push(...some)
    return found
  }
  now = new Date(notAfter.getTime() - 3 * day)
  assert.deepEqual(await news(), [])
  await ctx.db.read.caOrder.create({
    data: {
      ...{ id: newId(now), tenantId, hostId: host, authorityId, names: ['www.shop.test'] },
      ...{ keyAlgorithm: 'ECDSA_P256', csr: new Uint8Array(1), state: 'new', createdAt: now },
      message: 'the CA is away',
    },
  })
  assert.deepEqual(await news(), [])
  now = new Date(now.getTime() + 2 * hour)
  const [ending] = await news()
  assert.match(ending?.data.summary ?? '', /www.shop.test ends .* waited for: the CA is away/)
})

test('metrics tell of accounts, orders under way and how they ended', async () => {
  const text = await (await fetch(metrics.url)).text()
  assert.match(text, /gatesmith_ca_account_ok\{authority="public"\} 0/)
  assert.match(text, /gatesmith_ca_orders\{authority="public",state="new"\} 1/)
})
