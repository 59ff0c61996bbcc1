import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import pg from 'pg'
import { createAuthority } from '../../../src/authorities/create.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

const { ctx, http, send } = await openTestApi()

const kubeconfig = JSON.stringify({
  'current-context': 'k',
  contexts: [{ name: 'k', context: { cluster: 'k', user: 'k' } }],
  clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:1' } }],
  users: [{ name: 'k', user: { token: 't' } }],
})
const ingress = { address: '127.0.0.1:1' }
for (const name of ['east', 'west']) await createCluster(ctx, admin, { name, kubeconfig, ingress })
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
await createAuthority(ctx, admin, {
  name: 'issuing',
  kind: 'intermediate',
  parent: 'house',
  subject,
})
const base = { namespaces: ['web'], defaultAuthority: 'issuing' }
await createTenant(ctx, admin, { ...base, name: 'shop', domains: ['shop.test'] })
await createTenant(ctx, admin, { ...base, name: 'rival', domains: ['rival.test'] })

const to = { service: 'web', namespace: 'web', port: 80 }

/** A host with its certificate, served on every cluster that it is placed on. */
async function serve(tenant: string, name: string, clusters = ['east', 'west']) {
  await putHost(ctx, admin, { tenant, name, spec: { routes: [{ to }], clusters } })
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  await certifyHost(ctx, id)
  const { certificateId } = await ctx.db.read.host.findUniqueOrThrow({ where: { id } })
  await ctx.db.read.placement.updateMany({
    where: { hostId: id },
    data: { certificateId, status: 'Synced', objects: [] },
  })
}
for (let n = 0; n < 4; n++) await serve('shop', `h${n}.shop.test`, n === 0 ? ['west'] : undefined)
await serve('rival', 'www.rival.test')
await issueCertificate(ctx, admin, {
  tenant: 'shop',
  request: { profile: 'client', subject: { commonName: 'shop client' }, validityDays: 10 },
  idempotencyKey: undefined,
})

const shop = send(await tokenFor(ctx, 'shop', 'viewer'))

type Hand = typeof http

async function ask(query: string, variables: object = {}, hand: Hand = http) {
  const { body } = await hand.post('/graphql').send({ query, variables }).expect(200)
  assert.equal(body.errors, undefined, JSON.stringify(body.errors))
  return body.data
}

async function refused(query: string, hand: Hand = http) {
  const { body, status } = await hand.post('/graphql').send({ query })
  const [{ message, path, extensions }] = body.errors
  return { status, data: body.data, message, path, ...extensions }
}

const problem = (type: string) => `https://gatesmith.dev/problems/${type}`
const names = (items: readonly { name: string }[]) => items.map(({ name }) => name)

test('what expires soon is told with its tenant, its host and the clusters that serve it', async () => {
  const data = await ask(`{
    expiringCertificates(within: "P100D", tenant: "shop", first: 2) {
      items {
        status notAfter subject { commonName }
        tenant { name } authority { name parent { name parent { name } } }
        host { name spec { http routes { to { service port } } } }
        clusters { status cluster { name status } }
      }
      nextCursor
    }
  }`)
  const { items, nextCursor } = data.expiringCertificates
  assert.equal(typeof nextCursor, 'string')
  assert.deepEqual(items[0].subject, { commonName: 'shop client' })
  assert.equal(items[0].host, null)
  assert.deepEqual(items[0].clusters, [])
  assert.deepEqual(items[1].tenant, { name: 'shop' })
  assert.deepEqual(items[1].authority, { name: 'issuing', parent: { name: 'house', parent: null } })
  assert.match(items[1].host.name, /^h\d\.shop\.test$/)
  assert.deepEqual(items[1].host.spec, {
    http: 'redirect',
    routes: [{ to: { service: 'web', port: 80 } }],
  })
  const served = items[1].clusters.map(
    ({ status, cluster }: { status: string; cluster: { name: string } }) => [cluster.name, status],
  )
  assert.deepEqual(served.at(-1), ['west', 'Synced'])
  const none = await ask('{ expiringCertificates(within: "P9D") { items { id } nextCursor } }')
  assert.deepEqual(none.expiringCertificates, { items: [], nextCursor: null })
})

test('the inventory is read with relations in one request', async () => {
  const data = await ask(`{
    tenant(name: "shop") {
      defaultAuthority { name keyHeld }
      hosts(first: 3) {
        items { name certificate { id host { name } } placements { cluster { name } since objects { kind } } }
        nextCursor
      }
      certificates { items { id } }
      clusters { items { name } }
    }
    clusters { items { name server hosts { items { name tenant { name } } } } }
    cluster(name: "east") { ingress { selector address } }
    host(tenant: "shop", name: "H1.shop.test.") { name generation removedAt }
    authorities { items { name kind tenant { name } } }
    hosts(tenant: "rival") { items { name } }
  }`)
  const { hosts, certificates, clusters, defaultAuthority } = data.tenant
  assert.deepEqual(defaultAuthority, { name: 'issuing', keyHeld: true })
  assert.deepEqual(names(hosts.items), ['h0.shop.test', 'h1.shop.test', 'h2.shop.test'])
  for (const host of hosts.items) assert.equal(host.certificate.host.name, host.name)
  assert.equal(certificates.items.length, 5)
  assert.deepEqual(names(clusters.items), ['east', 'west'])
  const east = data.clusters.items[0]
  assert.equal(east.server, 'https://127.0.0.1:1')
  assert.equal(east.hosts.items.length, 4)
  assert.deepEqual(east.hosts.items.at(-1), { name: 'www.rival.test', tenant: { name: 'rival' } })
  assert.deepEqual(data.cluster.ingress.selector, { istio: 'ingressgateway' })
  assert.deepEqual(data.host, { name: 'h1.shop.test', generation: 1, removedAt: null })
  assert.equal(data.authorities.items.length, 2)
  assert.deepEqual(names(data.hosts.items), ['www.rival.test'])
  const rest = await http.get(`/v1/tenants/shop/certificates/${certificates.items[1].id}`)
  const { certificate } = await ask(
    'query ($id: ID!) { certificate(tenant: "shop", id: $id) { pem chainPem serial dnsNames } }',
    { id: certificates.items[1].id },
  )
  const { pem, chainPem, serial, dnsNames } = rest.body
  assert.deepEqual(certificate, { pem, chainPem, serial, dnsNames })
})

test('the cursor of a page leads on, also below another thing and over REST', async () => {
  const query = `query ($after: String) {
    tenant(name: "shop") {
      hosts(first: 2, after: $after) { items { name } nextCursor }
    }
  }`
  const first = (await ask(query)).tenant.hosts
  const second = (await ask(query, { after: first.nextCursor })).tenant.hosts
  assert.deepEqual(
    names([...first.items, ...second.items]),
    [0, 1, 2, 3].map((n) => `h${n}.shop.test`),
  )
  assert.equal(second.nextCursor, null)
  const rest = await http.get(`/v1/tenants/shop/hosts?cursor=${first.nextCursor}`)
  if (rest.status !== 404) assert.deepEqual(names(rest.body.items), names(second.items))
  const seen: string[] = []
  let after: string | null = null
  do {
    const { tenants } = await ask(
      `query ($after: String) { tenants { items { name
        certificates(first: 2, after: $after) { items { id } nextCursor } } } }`,
      { after },
    )
    const page = tenants.items.find(({ name }: { name: string }) => name === 'shop').certificates
    seen.push(...page.items.map(({ id }: { id: string }) => id))
    after = page.nextCursor
  } while (after)
  assert.equal(new Set(seen).size, 5)
  assert.equal(seen.length, 5)
  const bad = await refused(
    '{ tenant(name: "shop") { certificates(after: "WyJ4IiwieSJd") { items { id } } } }',
  )
  assert.equal(bad.type, problem('cursor-refused'))
})

test('another tenant’s things are not there', async () => {
  const rival = await ctx.db.read.certificate.findFirstOrThrow({
    where: { tenant: { name: 'rival' } },
  })
  const data = await ask(
    `query ($id: ID!) {
      tenants { items { name } }
      tenant(name: "rival") { name }
      host(tenant: "rival", name: "www.rival.test") { name }
      certificate(tenant: "rival", id: $id) { id }
      own: certificate(tenant: "shop", id: $id) { id }
      certificates { items { tenant { name } } }
      cluster(name: "east") { server hosts { items { name } } }
      nobody: cluster(name: "nowhere") { name }
      unknown: authority(name: "nobody") { name }
    }`,
    { id: rival.id },
    shop,
  )
  assert.deepEqual(names(data.tenants.items), ['shop'])
  for (const key of ['tenant', 'host', 'certificate', 'own', 'nobody', 'unknown']) {
    assert.equal(data[key], null, key)
  }
  assert.equal(data.certificates.items.length, 5)
  assert.deepEqual(data.cluster.server, null)
  assert.deepEqual(names(data.cluster.hosts.items), [
    'h1.shop.test',
    'h2.shop.test',
    'h3.shop.test',
  ])
  const list = await refused(
    '{ hosts(tenant: "rival") { items { name } } tenants { items { name } } }',
    shop,
  )
  assert.equal(list.type, problem('tenant-unknown'))
  assert.equal(list.data.hosts, null)
  assert.equal(list.data.tenants.items.length, 1)
})

test('the audit trail needs a role that may read it', async () => {
  const query =
    '{ auditEvents(action: "host.created", first: 1) { items { seq at actor { kind name } tenant { name } subject { name } changes } } }'
  const { auditEvents } = await ask(query)
  const [event] = auditEvents.items
  assert.deepEqual(event.tenant, { name: 'rival' })
  assert.deepEqual(event.subject, { name: 'www.rival.test' })
  assert.deepEqual(event.changes.clusters, ['east', 'west'])
  const answer = await refused(query, shop)
  assert.equal(answer.type, problem('forbidden'))
  assert.equal(answer.extensions, undefined)
  assert.equal(answer.status, 403)
  assert.deepEqual(answer.path, ['auditEvents'])
})

test('a page of a hundred takes as many statements as a page of ten', async () => {
  await createTenant(ctx, admin, { ...base, name: 'many', domains: ['many.test'] })
  for (let n = 0; n < 100; n++) await serve('many', `h${n}.many.test`)
  // One list at a time: whether two that run side by side share a read is a matter of luck.
  const lists = [
    `certificates(tenant: "many", first: $first) { items {
      id pem chainPem tenant { name defaultAuthority { name } } authority { name parent { name } }
      host { name tenant { name } certificate { id } placements { cluster { name } } }
      clusters { status cluster { name } }
    } }`,
    'hosts(tenant: "many", first: $first) { items { tenant { name } certificate { id host { name } } } }',
    `tenants(first: 5) { items {
      hosts(first: $first) { items { name certificate { id } } }
      certificates(first: $first) { items { id authority { name } } }
      clusters(first: $first) { items { name hosts(first: 1) { items { name } } } }
    } }`,
    'cluster(name: "east") { hosts(first: $first) { items { name tenant { name } certificate { id } } } }',
    'authorities(first: $first) { items { name chainPem } }',
    'auditEvents(first: $first) { items { seq tenant { name } } }',
  ]
  for (const list of lists) {
    const statements = async (first: number) => {
      const sent = mock.method(pg.Client.prototype, 'query')
      const data = await ask(`query ($first: Int) { ${list} }`, { first })
      const count = sent.mock.callCount()
      sent.mock.restore()
      return { count, data }
    }
    // What is kept for some seconds is read again by one of three at most.
    const least = async (first: number) => {
      const runs = [await statements(first), await statements(first), await statements(first)]
      return { ...runs[0], count: Math.min(...runs.map(({ count }) => count)) }
    }
    const ten = await least(10)
    const hundred = await least(100)
    assert.ok(ten.count > 2 && ten.count < 40, `${ten.count} statements for ${list}`)
    assert.equal(hundred.count, ten.count, list)
    const { items } = hundred.data.certificates ?? {}
    if (items === undefined) continue
    assert.equal(items.length, 100)
    for (const { host, clusters } of items) {
      assert.equal(host.placements.length, 2)
      assert.deepEqual(
        clusters.map(({ cluster }: { cluster: { name: string } }) => cluster.name),
        ['east', 'west'],
      )
    }
  }
})

test('a host is planned and probed, and what another tenant has is refused', async () => {
  const wanted = `{
    hostPlan(tenant: "shop", name: "h0.shop.test") { host clusters { cluster error changes { kind } } }
    hostProbe(tenant: "shop", name: "h0.shop.test", cluster: "west") {
      results { cluster asExpected timings { connect } checks { check ok found } } } }`
  const { hostPlan, hostProbe } = await ask(wanted, {}, shop)
  assert.equal(hostPlan.host, 'h0.shop.test')
  assert.match(hostPlan.clusters[0].error, /ECONNREFUSED/)
  const [found] = hostProbe.results
  assert.deepEqual([found.cluster, found.asExpected, found.timings.connect], ['west', false, null])
  assert.match(found.checks[0].found, /ECONNREFUSED/)
  const theirs = '{ hostProbe(tenant: "rival", name: "www.rival.test") { results { cluster } } }'
  assert.equal((await refused(theirs, shop)).type, problem('tenant-unknown'))
})
