import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { buildSchema } from 'graphql'
import { type Client, createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { sdl } from '../../../src/api/graphql/schema.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { createApiKey } from '../../../src/tenants/apikeys/lifecycle.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { deadKubeconfig } from '../../support/kubeconfig.ts'

const { ctx, http, url } = await openTestApi()
const kubeconfig = deadKubeconfig()
await createCluster(ctx, admin, { name: 'east', kubeconfig, ingress: { address: '127.0.0.1:1' } })
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
const base = { namespaces: ['web'], defaultAuthority: 'house' }
for (const name of ['shop', 'rival']) {
  await createTenant(ctx, admin, { ...base, name, domains: [`${name}.test`] })
}
const to = { service: 'web', namespace: 'web', port: 80 }
const spec = { routes: [{ to }], clusters: ['east'] }
const name = 'a.shop.test'
await putHost(ctx, admin, { tenant: 'shop', name, spec })

const address = `${url.replace('http', 'ws')}/graphql`
const problem = (type: string) => `https://gatesmith.dev/problems/${type}`
const clients: Client[] = []
after(() => Promise.all(clients.map((client) => client.dispose())))

/** A client that says whose it is as browsers do. */
function clientOf(token: string): Client {
  const client = createClient({
    url: address,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 0,
    lazyCloseTimeout: 0,
  })
  clients.push(client)
  return client
}

type Answer = { readonly data: Readonly<Record<string, never>>; readonly errors?: readonly Told[] }
type Told = { readonly message: string; readonly extensions: { readonly type: string } }

function follow(client: Client, query: string) {
  return client.iterate({ query }) as unknown as AsyncIterableIterator<Answer>
}

async function next(answers: AsyncIterator<Answer>): Promise<Answer> {
  const { value, done } = await answers.next()
  assert.notEqual(done, true)
  return value
}

const viewer = await tokenFor(ctx, 'shop', 'viewer')
const statusOf = `subscription { hostStatus(tenant: "shop", name: "A.shop.test.") {
  generation removedAt placements { status cluster { name } } tenant { name hosts { total { value } } } } }`

test('a host and a certificate are told as they stand, and again whenever that is another', async () => {
  const answers = follow(clientOf(viewer), statusOf)
  const status = async () => (await next(answers)).data.hostStatus as unknown as Host
  type Host = {
    readonly generation: number
    readonly placements: readonly { readonly status: string }[]
    readonly tenant: { readonly hosts: { readonly total: { readonly value: number } } }
  }
  const first = await status()
  assert.equal(first.generation, 1)
  assert.equal(first.placements[0]?.status, 'Pending')
  await putHost(ctx, admin, { tenant: 'rival', name: 'b.rival.test', spec })
  await putHost(ctx, admin, { tenant: 'shop', name: 'b.shop.test', spec })
  await putHost(ctx, admin, { tenant: 'shop', name, spec: { ...spec, http: 'serve' } })
  const second = await status()
  assert.deepEqual([second.generation, second.tenant.hosts.total.value], [2, 2])
  await ctx.db.read.placement.updateMany({ where: { name }, data: { status: 'Synced' } })
  assert.equal((await status()).placements[0]?.status, 'Synced')
  await ctx.db.read.host.deleteMany({ where: { name } })
  assert.deepEqual((await next(answers)).data, { hostStatus: null })
  assert.equal((await answers.next()).done, true)

  const { id } = await issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: { profile: 'client', subject: { commonName: 'bot' }, validityDays: 10 },
    idempotencyKey: undefined,
  })
  const states = follow(
    clientOf(viewer),
    `subscription { certificateStatus(tenant: "shop", id: "${id}") { status } }`,
  )
  assert.deepEqual((await next(states)).data, { certificateStatus: { status: 'active' } })
  await revokeCertificate(ctx, admin, {
    tenant: 'shop',
    id,
    reason: 'superseded',
    proof: undefined,
  })
  // That it was issued may be told behind its state.
  for (let told: object = {}; !isDeepStrictEqual(told, { status: 'revoked' }); ) {
    told = (await next(states)).data.certificateStatus as unknown as object
  }
  await states.return?.()
})

test('events go on from after one that was seen, each with what it is about', async () => {
  const { body } = await http.get('/v1/tenants/shop/events?limit=1').expect(200)
  const [seen] = body.items
  const query = `subscription { events(tenant: "shop", after: "${seen.id}") {
    id type tenant { name } host { name } certificate { status } } }`
  const answers = follow(clientOf(viewer), query)
  const rest = await http.get(`/v1/tenants/shop/events?after=${seen.id}`).expect(200)
  for (const { id, type } of rest.body.items) {
    const { events } = (await next(answers)).data as unknown as { events: Record<string, unknown> }
    assert.deepEqual([events.id, events.type, events.tenant], [id, type, { name: 'shop' }])
    assert.equal(events.certificate !== null, type.startsWith('certificate.'))
  }
  await answers.return?.()
  const lost = follow(
    clientOf(await tokenFor(ctx, null, 'viewer')),
    'subscription { events(after: "999999999999-1") { id } }',
  )
  await assert.rejects(next(lost), (errors: readonly Told[]) => {
    assert.equal(errors[0]?.extensions.type, problem('cursor-refused'))
    return true
  })
})

test('who may not follow is told why, and what is too much or no subscription is not begun', async () => {
  const operator = await createApiKey(ctx, admin, {
    tenant: 'shop',
    request: { name: 'narrow', role: 'operator', scopes: ['events:read'] },
  })
  const inner = '{ tenant { hosts(first: 500) { items { certificate { pem chainPem } } } } }'
  for (const [token, query, type] of [
    [
      viewer,
      'subscription { hostStatus(tenant: "rival", name: "b.rival.test") { name } }',
      'tenant-unknown',
    ],
    [
      viewer,
      'subscription { hostStatus(tenant: "shop", name: "no.shop.test") { name } }',
      'host-unknown',
    ],
    [viewer, 'subscription { events { id } }', 'forbidden'],
    [viewer, 'subscription { events(tenant: "rival") { id } }', 'tenant-unknown'],
    [viewer, 'subscription { events(tenant: "A B") { id } }', 'request-invalid'],
    [
      operator.token,
      'subscription { hostStatus(tenant: "shop", name: "b.shop.test") { name } }',
      'forbidden',
    ],
    [
      operator.token,
      'subscription { events(tenant: "shop", after: "0-0") { host { name } } }',
      'forbidden',
    ],
    [viewer, `subscription { events(tenant: "shop") ${inner} }`, 'request-too-large'],
    [viewer, 'subscription { nothing { id } }', 'request-malformed'],
    [
      viewer,
      'subscription { events(tenant: "shop") { id } more: events(tenant: "shop") { id } }',
      'request-malformed',
    ],
    [viewer, '{ tenants { nextCursor } }', 'request-invalid'],
    [viewer, 'subscription {', 'request-malformed'],
  ] as const) {
    const told = await next(follow(clientOf(token), query)).catch((errors: readonly Told[]) => ({
      errors,
    }))
    assert.equal(told.errors?.[0]?.extensions?.type, problem(type), query)
  }
})

/** How a connection that was opened so ends. */
async function endOf(connection: WebSocket): Promise<number> {
  const [code] = await once(connection, 'close')
  return code
}

test('each subscription is a row of the page that says who may', async () => {
  const page = await readFile(new URL('../../../docs/access.md', import.meta.url), 'utf8')
  const [, rows = ''] = page.split('## GraphQL subscriptions')
  const named = [...rows.matchAll(/^\| `(\w+)` \|/gm)].map(([, field]) => field)
  const fields = buildSchema(sdl).getSubscriptionType()?.getFields()
  assert.deepEqual(named.sort(), Object.keys(fields ?? {}).sort())
})

test('credentials are asked for, and when they end so does what they opened', async () => {
  const protocol = 'graphql-transport-ws'
  const bad = new WebSocket(address, protocol, { headers: { authorization: 'Bearer nothing' } })
  const [error] = await once(bad, 'error')
  assert.match(error.message, /401/)
  for (const [authorization, code] of [
    ['Bearer nothing', 4403],
    [undefined, 4403],
  ] as const) {
    const stranger = new WebSocket(address, protocol)
    await once(stranger, 'open')
    stranger.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }))
    assert.equal(await endOf(stranger), code)
  }
  const foreign = new WebSocket(address, protocol, { headers: { origin: 'https://else.test' } })
  await once(foreign, 'open')
  foreign.send(JSON.stringify({ type: 'connection_init' }))
  const [refused, why] = await once(foreign, 'close')
  assert.deepEqual([refused, String(why)], [4403, 'Pages of other origins say who asks by a token'])
  const early = new WebSocket(address, protocol)
  await once(early, 'open')
  early.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: '{ x }' } }))
  assert.equal(await endOf(early), 4401)
  const other = new WebSocket(address, 'graphql-ws')
  const [refusal] = await once(other, 'error')
  assert.match(refusal.message, /subprotocol/)

  const key = await createApiKey(ctx, admin, {
    tenant: 'shop',
    request: { name: 'ends', role: 'viewer' },
  })
  const client = clientOf(key.token)
  const closed = new Promise<number>((resolve) => {
    client.on('closed', (event) => resolve((event as { code: number }).code))
  })
  const answers = follow(client, 'subscription { events(tenant: "shop", after: "0-0") { id } }')
  await next(answers)
  await ctx.db.read.apiKey.update({ where: { id: key.id }, data: { revokedAt: new Date() } })
  await putHost(ctx, admin, { tenant: 'shop', name: 'c.shop.test', spec })
  const ends = async () => {
    for (;;) await next(answers)
  }
  await assert.rejects(ends(), (errors: readonly Told[]) => {
    assert.equal(errors[0]?.extensions.type, problem('credentials-refused'))
    return true
  })
  assert.equal(await closed, 4403)
})

test('a key has so many connections, and what floods one is cut off', async () => {
  const headers = { authorization: `Bearer ${await tokenFor(ctx, 'shop', 'viewer')}` }
  const open = async () => {
    const connection = new WebSocket(address, 'graphql-transport-ws', { headers })
    await once(connection, 'open')
    connection.send(JSON.stringify({ type: 'connection_init' }))
    return connection
  }
  const all: WebSocket[] = []
  for (let n = 0; n < 20; n++) {
    const connection = await open()
    await once(connection, 'message')
    all.push(connection)
  }
  assert.equal(await endOf(await open()), 4429)
  const [flooded, long, ...others] = all
  assert.ok(flooded && long)
  const flood = JSON.stringify({ type: 'ping', payload: { x: 'x'.repeat(10_000) } })
  // The messages are not read while their answers are not.
  flooded.pause()
  const ended = endOf(flooded)
  for (let n = 0; n < 20_000 && flooded.readyState === WebSocket.OPEN; n++) {
    flooded.send(flood, () => undefined)
    if (n % 100 === 0) await new Promise(setImmediate)
  }
  flooded.resume()
  assert.equal(await ended, 1006)
  long.send('x'.repeat(200_000))
  assert.equal(await endOf(long), 1009)
  for (const connection of others) connection.close()
})
