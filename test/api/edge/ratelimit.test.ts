import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { meterOf } from '../../../src/api/edge/rate.ts'
import { buildServer } from '../../../src/api/server.ts'
import { subscriberOf } from '../../../src/audit/address.ts'
import { findAuditEvents } from '../../../src/audit/find.ts'
import { readConfig } from '../../../src/core/config.ts'
import { type Context, openContext } from '../../../src/core/context.ts'
import { SettingError } from '../../../src/core/settings/environment.ts'
import { defaultRates } from '../../../src/core/settings/limits.ts'
import { tokenHash } from '../../../src/tenants/apikeys/token.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { tokenFor } from '../../support/api.ts'
import { admin, openTestContext } from '../../support/context.ts'

const base = await openTestContext()
await createTenant(base, admin, { name: 'example', domains: ['example.com'] })
await createTenant(base, admin, { name: 'other', domains: ['other.test'] })

/** A server with these limits and a clock that stands still until it is moved. */
async function serverWith(rates: Partial<Context['config']['rates']>, trusted: string[] = []) {
  const clock = { at: Date.now() }
  const config = { ...base.config, rates: { ...defaultRates, ...rates }, trustedProxies: trusted }
  const ctx = openContext(config, base.log, { now: () => new Date(clock.at) })
  const api = await buildServer(ctx)
  after(async () => {
    await api.close()
    await ctx.db.close()
  })
  const ask = (url: string, token: string | null, from = '192.0.2.1', headers = {}) =>
    api.inject({
      method: url === '/graphql' ? 'POST' : 'GET',
      url,
      remoteAddress: from,
      headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
      ...(url === '/graphql' ? { payload: { query: '{ tenants { nodes { name } } }' } } : {}),
    })
  return { api, clock, ask }
}

test('one API key has its limit, is told how much is left, and may go on later', async () => {
  const { ask, clock } = await serverWith({ key: 3 })
  const token = await tokenFor(base, 'example', 'viewer')
  const other = await tokenFor(base, 'example', 'viewer')
  for (const left of [2, 1, 0]) {
    const answer = await ask(left === 1 ? '/graphql' : '/v1/tenants/example', token)
    assert.notEqual(answer.statusCode, 429)
    assert.equal(String(answer.headers['ratelimit-limit']), '3')
    assert.equal(String(answer.headers['ratelimit-remaining']), String(left))
    assert.equal(answer.headers['ratelimit-policy'], '"key";q=3;w=60, "tenant";q=120000;w=60')
  }
  for (const url of ['/v1/tenants/example', '/graphql']) {
    const refused = await ask(url, token)
    assert.equal(refused.statusCode, 429)
    assert.match(String(refused.headers['content-type']), /^application\/problem\+json/)
    assert.match(refused.json().type, /rate-limited$/)
    assert.equal(refused.headers['retry-after'], '20')
    assert.equal(String(refused.headers['ratelimit-remaining']), '0')
    assert.ok(refused.headers['x-request-id'])
  }
  assert.equal((await ask('/v1/tenants/example', other)).statusCode, 200)
  clock.at += 20_000
  assert.equal((await ask('/v1/tenants/example', token)).statusCode, 200)
  assert.equal((await ask('/v1/tenants/example', token)).statusCode, 429)
})

test('who asks too much is told so before what a role may do', async () => {
  const { ask } = await serverWith({ key: 1 })
  const token = await tokenFor(base, 'example', 'viewer')
  const statuses = [await ask('/v1/audit-events', token), await ask('/v1/audit-events', token)]
  assert.deepEqual(
    statuses.map(({ statusCode }) => statusCode),
    [403, 429],
  )
})

test('a tenant has a limit for all its keys, and other tenants have theirs', async () => {
  const { ask } = await serverWith({ tenant: 2 })
  const tokens = [
    await tokenFor(base, 'example', 'viewer'),
    await tokenFor(base, 'example', 'viewer'),
    await tokenFor(base, 'example', 'viewer'),
  ]
  const statuses = []
  for (const token of tokens) statuses.push((await ask('/v1/tenants', token)).statusCode)
  assert.deepEqual(statuses, [200, 200, 429])
  assert.equal((await ask('/v1/tenants', await tokenFor(base, 'other'))).statusCode, 200)
  assert.equal((await ask('/v1/tenants', await tokenFor(base, null))).statusCode, 200)
})

test('an address has a limit for what is public, and whether we live is always told', async () => {
  const { ask } = await serverWith({ address: 2 })
  const public_ = '/pki/nothing/ca.crt'
  assert.equal((await ask(public_, null)).statusCode, 404)
  assert.equal((await ask('/nothing', null)).statusCode, 404)
  const refused = await ask('/pki/nothing/ocsp/MA==', null)
  assert.equal(refused.statusCode, 429)
  assert.equal(refused.headers['ratelimit-policy'], '"address";q=2;w=60')
  assert.equal((await ask('/livez', null)).statusCode, 200)
  assert.equal((await ask('/readyz', null)).statusCode, 200)
  assert.equal((await ask(public_, null, '192.0.2.2')).statusCode, 404)
})

test('an address that sends wrong tokens is not looked up any more, but who was known there is', async () => {
  const { ask, clock } = await serverWith({ failures: 2 })
  const known = await tokenFor(base, 'example', 'viewer')
  const unknown = await tokenFor(base, 'example', 'viewer')
  const status = async (token: string | null, from?: string) =>
    (await ask('/v1/tenants', token, from)).statusCode
  assert.equal(await status(known), 200)
  assert.equal(await status('gsm_wrong1'), 401)
  assert.equal(await status(null), 401)
  assert.equal(await status('gsm_wrong2'), 401)
  assert.equal(await status('gsm_wrong3'), 429)
  assert.equal(await status(unknown), 429)
  assert.equal(await status(known), 200)
  assert.equal(await status(unknown, '192.0.2.2'), 200)
  // One that was revoked is asked for once more, and then no more than any other.
  await base.db.read.apiKey.updateMany({
    where: { tokenHash: new Uint8Array(tokenHash(known)) },
    data: { revokedAt: new Date() },
  })
  assert.equal(await status(known), 401)
  assert.equal(await status(known), 429)
  clock.at += 60_000
  assert.equal(await status('gsm_wrong4'), 401)
})

test('behind a proxy that is trusted it is the address that the proxy names', async () => {
  const forwarded = (address: string) => ({ 'x-forwarded-for': address })
  const trusting = await serverWith({ address: 1 }, ['10.0.0.0/8'])
  const ask = async (server: typeof trusting, address: string) =>
    (await server.ask('/nothing', null, '10.1.2.3', forwarded(address))).statusCode
  assert.equal(await ask(trusting, '203.0.113.1'), 404)
  assert.equal(await ask(trusting, '203.0.113.2'), 404)
  assert.equal(await ask(trusting, '203.0.113.1'), 429)
  const trustless = await serverWith({ address: 1 })
  assert.equal(await ask(trustless, '203.0.113.1'), 404)
  assert.equal(await ask(trustless, '203.0.113.2'), 429)
})

test('who is refused, and who signs in from where, is told by the trail once and then in sum', async () => {
  const { api, ask, clock } = await serverWith({ tenant: 3 }, ['10.0.0.0/8'])
  const viewer = await tokenFor(base, 'example', 'viewer')
  const from = (address: string) => ({ 'x-forwarded-for': address })
  const told = async (address: string) => {
    const { items } = await findAuditEvents(base, admin, { address, sort: 'seq' })
    return items.map(({ action, actor, tenant, changes: { since: _, ...changes } }) => {
      const facts: Readonly<Record<string, unknown>> = {
        action,
        who: actor.kind,
        tenant,
        ...changes,
      }
      return facts
    })
  }
  // Through a proxy that is trusted, over one that is not, and by who lies about it.
  for (const _ of [1, 2, 3, 4])
    await ask('/v1/audit-events', viewer, '10.0.0.1', from('203.0.113.9'))
  for (const wrong of ['gsm_secret-of-somebody', 'gsm_another-secret', null]) {
    await ask('/v1/tenants/example', wrong, '203.0.113.9', from('198.51.100.7'))
  }
  const traveller = await tokenFor(base, 'other', 'viewer')
  await ask('/v1/tenants', traveller, '2001:db8::a')
  clock.at += 11 * 60_000
  await ask('/v1/tenants', 'gsm_third-secret', '203.0.113.9')
  await api.close()
  const all = await told('203.0.113.9')
  const sums = new Map<string, number>()
  for (const { who, action, reason = '', count } of all) {
    const name = `${who} ${action} ${reason}`
    sums.set(name, (sums.get(name) ?? 0) + Number(count))
  }
  assert.deepEqual(Object.fromEntries(sums), {
    'api-key access.signed-in ': 1,
    'api-key access.refused forbidden': 3,
    'api-key access.refused rate-limited': 1,
    'anonymous access.refused credentials-refused': 3,
    'anonymous access.refused credentials-missing': 1,
  })
  assert.ok(all.length <= 9, 'the first, and the others together')
  const event = all.find(({ reason }) => reason === 'forbidden')
  assert.deepEqual(
    [event?.method, event?.route, event?.tenant],
    ['GET', '/v1/audit-events', 'example'],
  )
  assert.deepEqual(await told('198.51.100.7'), [], 'whom a stranger says that it asks for')
  const signedIn = { action: 'access.signed-in', who: 'api-key', tenant: 'other', count: 1 }
  assert.deepEqual(await told('2001:DB8:0::a'), [signedIn])
  // Another process, or the same one after a restart, knows that it was told.
  const again = await serverWith({})
  await again.ask('/v1/tenants', traveller, '2001:db8::a')
  await again.api.close()
  assert.deepEqual(await told('2001:db8::a'), [signedIn])
  const rows = await base.db.statement(
    'select row_to_json(audit_event)::text as row from audit_event',
    [],
  )
  assert.doesNotMatch(JSON.stringify(rows), /secret|gsm_[\w-]{9}/)
})

test('0 is no limit', async () => {
  const { ask } = await serverWith({ key: 0, tenant: 0, address: 0, failures: 0 })
  const answer = await ask('/v1/tenants', await tokenFor(base, 'example', 'viewer'))
  assert.equal(answer.statusCode, 200)
  assert.equal(answer.headers['ratelimit-limit'], undefined)
})

test('the whole limit may be used at once, and comes back evenly', () => {
  const meter = meterOf(60)
  const taken = (now: number) => {
    let count = 0
    while (meter.take('a', now).allowed) count++
    return count
  }
  assert.equal(taken(0), 60)
  assert.equal(taken(10_000), 10)
  assert.equal(taken(1_000_000), 60)
  // A clock that goes back by an hour locks nobody out.
  assert.equal(taken(1_000_000 - 3_600_000), 60)
  assert.equal(taken(1_000_000 - 3_590_000), 10)
})

test('who asks in passing is not remembered for ever', () => {
  const meter = meterOf(1)
  for (let each = 0; each < 50_000; each++) meter.take(`who-${each}`, 0)
  assert.equal(meter.look('who-0', 0).allowed, false)
  for (let each = 50_000; each < 60_000; each++) meter.take(`who-${each}`, 0)
  assert.equal(meter.look('who-0', 0).allowed, true)
  for (const kept of ['who-20000', 'who-59999']) assert.equal(meter.look(kept, 0).allowed, false)
})

test('IPv6 addresses of one subscriber count as one, IPv4 is IPv4 in either spelling', () => {
  assert.equal(subscriberOf('2001:db8::1'), subscriberOf('2001:db8:0:0:ffff::2'))
  assert.notEqual(subscriberOf('2001:db8::1'), subscriberOf('2001:db8:0:1::1'))
  assert.equal(subscriberOf('::ffff:192.0.2.1'), '192.0.2.1')
  assert.equal(subscriberOf('192.0.2.1'), '192.0.2.1')
  assert.equal(subscriberOf('fe80::1%eth0'), subscriberOf('fe80::2'))
  // As some proxies pass it on, and as a socket has it that is closed already.
  assert.equal(subscriberOf('192.0.2.1:4711'), '192.0.2.1')
  assert.equal(subscriberOf('[2001:db8::1]:4711'), subscriberOf('2001:db8::2'))
  assert.equal(subscriberOf('x'.repeat(10_000)), subscriberOf(undefined))
})

test('settings of limits are read, and what is none is refused by name', () => {
  const environment = {
    DATABASE_URL: 'postgres://localhost/x',
    GATESMITH_SEALING_KEY: Buffer.alloc(32).toString('base64'),
  }
  assert.deepEqual(readConfig(environment).rates, defaultRates)
  const set = { GATESMITH_RATE_KEY: '0', GATESMITH_TRUSTED_PROXIES: '10.0.0.0/8, ::1' }
  const config = readConfig({ ...environment, ...set })
  assert.equal(config.rates.key, 0)
  assert.deepEqual(config.trustedProxies, ['10.0.0.0/8', '::1'])
  for (const wrong of [
    { GATESMITH_RATE_ADDRESS: '-1' },
    { GATESMITH_TRUSTED_PROXIES: 'loadbalancer' },
    { GATESMITH_TRUSTED_PROXIES: '10.0.0.0/255.0.255.0' },
  ]) {
    const [name = ''] = Object.keys(wrong)
    assert.throws(
      () => readConfig({ ...environment, ...wrong }),
      (error) => error instanceof SettingError && error.message.includes(name),
    )
  }
})
