import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { issueCertificates } from '../../../src/certificates/issuance/batch.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../../src/certificates/renewal/renew.ts'
import { orderReplacement } from '../../../src/certificates/replacement/replace.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import type { Actor } from '../../../src/core/actor.ts'
import { type Context, openContext } from '../../../src/core/context.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { createApiKey, listApiKeys, revokeApiKey } from '../../../src/tenants/apikeys/lifecycle.ts'
import { getTenant } from '../../../src/tenants/find.ts'
import type { AskedQuotas } from '../../../src/tenants/quotas/limits.ts'
import { changeTenant, createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { openFarCluster } from '../../support/far.ts'
import { isProblem } from '../../support/problem.ts'

const { ctx, send } = await openTestApi()
await createAuthority(ctx, admin, {
  name: 'root',
  kind: 'root',
  subject: { commonName: 'root' },
})
await openFarCluster(ctx)

/** Another process on the same database; its clock may be another. */
function replica(now: () => Date = () => new Date()): Context {
  const other = openContext(ctx.config, ctx.log, { now })
  after(() => other.db.close())
  return other
}

async function tenantWith(name: string, quotas: AskedQuotas) {
  const domains = [`${name}.test`]
  const asked = { name, domains, namespaces: ['test'], defaultAuthority: 'root', quotas }
  const { id } = await createTenant(ctx, admin, asked).then(() =>
    ctx.db.read.tenant.findUniqueOrThrow({ where: { name } }),
  )
  const actor: Actor = { ...admin, kind: 'api-key', tenantId: id }
  const order = (on: Context = ctx, idempotencyKey?: string) =>
    issueCertificate(on, actor, {
      tenant: name,
      request: { profile: 'server', dnsNames: [`www.${name}.test`] },
      idempotencyKey,
    })
  const usage = async (on: Context = ctx) => (await getTenant(on, admin, name)).usage
  return { name, id, actor, order, usage }
}

type Tenant = Awaited<ReturnType<typeof tenantWith>>

const put = ({ name, actor }: Tenant, label: string, organization = 'one') =>
  putHost(ctx, actor, {
    tenant: name,
    name: `${label}.${name}.test`,
    spec: {
      tls: { mode: 'SIMPLE' },
      certificate: { organization },
      routes: [{ to: { service: 'web', namespace: 'test', port: 80 } }],
      clusters: ['far'],
    },
  })

test('quotas are the platform’s to set, and a tenant sees them and what it has used', async () => {
  const shop = await tenantWith('shop', { certificatesPerDay: 3 })
  await shop.order()
  const http = send(await tokenFor(ctx, 'shop'))
  const { body } = await http.get('/v1/tenants/shop').expect(200)
  assert.deepEqual(body.quotas, { ...ctx.config.quotas, certificatesPerDay: 3 })
  assert.equal(body.usage.certificatesPerDay, 1)
  assert.equal(body.usage.apiKeys, 1)
  assert.ok(Date.parse(body.usage.resetsAt) > Date.now())
  const quotas = { certificatesPerDay: 1000 }
  const refused = await http.patch('/v1/tenants/shop').send({ quotas })
  assert.equal(refused.status, 403)
  const made = await http.post('/v1/tenants').send({ name: 'mine', domains: [], quotas })
  assert.equal(made.status, 403)
  await send(await tokenFor(ctx, null))
    .patch('/v1/tenants/shop')
    .send({ quotas: { hosts: -1 } })
    .expect(422)
})

test('beyond the certificates of a day orders are refused, with what to do, until the next day', async () => {
  const { name, order, usage } = await tenantWith('daily', { certificatesPerDay: 2 })
  const first = await order(ctx, 'first')
  await order()
  const http = send(await tokenFor(ctx, name))
  const asked = { profile: 'server', dnsNames: ['www.daily.test'] }
  const answer = await http.post('/v1/tenants/daily/certificates').send(asked)
  assert.equal(answer.status, 429)
  assert.match(answer.body.type, /quota-exceeded$/)
  assert.equal(answer.body.quota, 'certificatesPerDay')
  assert.deepEqual([answer.body.limit, answer.body.used], [2, 2])
  assert.ok(Date.parse(answer.body.resetsAt) > Date.now())
  assert.ok(Number(answer.headers['retry-after']) > 0)
  assert.match(
    answer.headers['ratelimit-policy'] ?? '',
    /"key";q=\d+;w=60, .*"certificatesPerDay";q=2;w=86400$/,
  )
  assert.match(answer.headers.ratelimit ?? '', /"certificatesPerDay";r=0;t=\d+$/)
  // What was ordered before the quota was used up is still answered.
  assert.equal((await order(ctx, 'first')).id, first.id)
  const tomorrow = replica(() => new Date(Date.now() + 86_400_000))
  await order(tomorrow)
  assert.equal((await usage(tomorrow))?.certificatesPerDay, 1)
  await changeTenant(ctx, admin, { name, patch: { quotas: { certificatesPerDay: 4 } } })
  await order()
  await order()
  await assert.rejects(order(), isProblem('quota-exceeded'))
})

test('two processes never give out more than the quota together, and nearly all of it', async () => {
  const { order, usage, id } = await tenantWith('raced', { certificatesPerDay: 37 })
  const other = replica()
  const outcomes = await Promise.allSettled(
    Array.from({ length: 80 }, (_, index) => order(index % 2 ? other : ctx)),
  )
  const issued = outcomes.filter(({ status }) => status === 'fulfilled').length
  assert.equal(issued, 37)
  assert.equal(await ctx.db.read.certificate.count({ where: { tenantId: id } }), 37)
  assert.equal((await usage())?.certificatesPerDay, 37)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') assert.ok(isProblem('quota-exceeded')(outcome.reason))
  }
})

test('a large quota is taken in portions, is shown as it is used, and holds when it is lowered', async () => {
  const { name, order, usage } = await tenantWith('large', { certificatesPerDay: 100_000 })
  await order()
  await order()
  assert.equal((await usage())?.certificatesPerDay, 2)
  const row = await ctx.db.read.tenantUsage.findFirstOrThrow({ where: { tenant: { name } } })
  assert.ok(row.used > 2, 'the second one was counted by itself')
  await changeTenant(ctx, admin, { name, patch: { quotas: { certificatesPerDay: 3 } } })
  await order()
  await assert.rejects(order(), isProblem('quota-exceeded'))
  assert.equal((await usage())?.certificatesPerDay, 3)
})

test('an order that is refused for other reasons costs nothing, and a batch is counted by items', async () => {
  const { name, actor, usage } = await tenantWith('batch', { certificatesPerDay: 3 })
  const good = { profile: 'server', dnsNames: ['a.batch.test'] } as const
  const items = [good, { ...good, dnsNames: ['foreign.test'] }, good, good, good].map((item) => ({
    ...item,
    dnsNames: [...item.dnsNames],
  }))
  const input = { tenant: name, items, idempotencyKey: undefined }
  const outcomes = await issueCertificates(ctx, actor, input)
  const told = outcomes.map((each) => ('problem' in each ? each.problem.type : 'issued'))
  assert.equal(told[1], 'certificate-refused')
  assert.equal(told.filter((each) => each === 'issued').length, 3)
  assert.equal(told.filter((each) => each === 'quota-exceeded').length, 1)
  assert.equal((await usage())?.certificatesPerDay, 3)
})

test('nothing in use ends for a quota: what is due or was revoked is replaced beyond it', async () => {
  const held = await tenantWith('held', { certificatesPerDay: 3 })
  const { name, actor, order } = held
  const due = await order()
  await put(held, 'www')
  const host = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'www.held.test' } })
  await certifyHost(ctx, host.id)
  const early = await order()
  await assert.rejects(order(), isProblem('quota-exceeded'))
  const renew = (id: string) =>
    renewCertificate(ctx, actor, {
      ...{ tenant: name, id },
      csr: undefined,
      idempotencyKey: undefined,
    })
  await assert.rejects(renew(early.id), isProblem('quota-exceeded'))
  const { certificateId } = await ctx.db.read.host.findUniqueOrThrow({ where: { id: host.id } })
  assert.ok(certificateId)
  await assert.rejects(renew(certificateId), isProblem('quota-exceeded'))
  const past = new Date(Date.now() - 60_000)
  const where = { id: { in: [due.id, certificateId] } }
  await ctx.db.read.certificate.updateMany({ where, data: { renewAt: past } })
  assert.notEqual((await renew(due.id)).id, due.id)
  await certifyHost(ctx, host.id)
  const after_ = await ctx.db.read.host.findUniqueOrThrow({ where: { id: host.id } })
  assert.notEqual(after_.certificateId, certificateId)
  await revokeCertificate(ctx, actor, { tenant: name, id: early.id, reason: 'superseded' })
  assert.notEqual((await renew(early.id)).id, early.id)
})

test('hosts have a quota of their own, and changing their certificate is an order', async () => {
  const many = await tenantWith('many', { hosts: 2, certificatesPerDay: 3 })
  const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd'].map((label) => put(many, label)))
  const made = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
  assert.equal(made.length, 2)
  const [first = 0] = made
  const label = ['a', 'b', 'c', 'd'][first] ?? ''
  assert.equal((await many.usage())?.hosts, 2)
  await put(many, label)
  await put(many, label, 'two')
  await assert.rejects(put(many, label, 'three'), isProblem('quota-exceeded'))
  const error: unknown = await put(many, 'e').catch((thrown: unknown) => thrown)
  assert.ok(error instanceof Problem && error.type === 'quota-exceeded')
  assert.deepEqual([error.extra.quota, error.extra.limit, error.extra.used], ['hosts', 2, 2])
  assert.equal((await many.usage())?.certificatesPerDay, 3)
})

test('API keys in force are counted, and making them anew all day comes to an end', async () => {
  const { name, actor } = await tenantWith('keys', { apiKeys: 2 })
  const make = (key: string) =>
    createApiKey(ctx, actor, { tenant: name, request: { name: key, role: 'viewer' } })
  const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd'].map(make))
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 2)
  let turns = 2
  const churn = async () => {
    for (; turns < 100; turns++) {
      const { items } = await listApiKeys(ctx, actor, { tenant: name })
      const [oldest] = items
      if (oldest) await revokeApiKey(ctx, actor, { tenant: name, id: oldest.id })
      await make(`k${turns}`)
    }
  }
  await assert.rejects(churn(), isProblem('quota-exceeded'))
  assert.equal(turns, 20)
})

test('a tenant revokes and orders replacements so often in a day, the platform as often as it must', async () => {
  const { name, actor, order } = await tenantWith('gone', {
    revocationsPerDay: 1,
    replacementsPerDay: 1,
  })
  const [a, b, c] = [await order(), await order(), await order()]
  const revoke = (by: Actor, id: string) =>
    revokeCertificate(ctx, by, { tenant: name, id, reason: 'superseded' })
  await revoke(actor, a.id)
  // Once more changes nothing and costs nothing.
  await revoke(actor, a.id)
  await assert.rejects(revoke(actor, b.id), isProblem('quota-exceeded'))
  const kept = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: b.id } })
  assert.equal(kept.status, 'active')
  await revoke(admin, c.id)
  // Whoever's key is known cannot wait for another day.
  const lost = { tenant: name, id: b.id, reason: 'keyCompromise' } as const
  assert.equal((await revokeCertificate(ctx, actor, lost)).status, 'revoked')
  const asked = { reason: 'test', where: { dnsName: 'www.gone.test' } }
  await orderReplacement(ctx, actor, asked)
  await assert.rejects(orderReplacement(ctx, actor, asked), isProblem('quota-exceeded'))
  await orderReplacement(ctx, admin, { ...asked, where: { tenant: name } })
})

test('a quota of nothing is nothing', async () => {
  const none = await tenantWith('none', { certificatesPerDay: 0, hosts: 0, apiKeys: 0 })
  await assert.rejects(none.order(), isProblem('quota-exceeded'))
  await assert.rejects(put(none, 'www'), isProblem('quota-exceeded'))
  await assert.rejects(tokenFor(ctx, 'none'), isProblem('quota-exceeded'))
})
