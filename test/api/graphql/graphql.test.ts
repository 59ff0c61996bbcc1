import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mock, test } from 'node:test'
import {
  buildSchema,
  type GraphQLNamedType,
  type GraphQLObjectType,
  getNamedType,
  isLeafType,
  isObjectType,
} from 'graphql'
import pg from 'pg'
import { sdl } from '../../../src/api/graphql/schema.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { createApiKey } from '../../../src/tenants/apikeys/lifecycle.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { deadKubeconfig } from '../../support/kubeconfig.ts'

const { ctx, http, send } = await openTestApi()

const kubeconfig = deadKubeconfig()
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

test('a list is a connection over the filters, orders, cursors and totals of REST', async () => {
  const query = `query ($after: String) { tenant(name: "shop") { hosts(
    first: 1, after: $after, sort: name_DESC, cluster: "east", name: "*.shop.test"
  ) { edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    total { value exact } } } }`
  type Shown = {
    readonly edges: readonly [{ readonly cursor: string; readonly node: { readonly name: string } }]
    readonly pageInfo: Readonly<Record<string, unknown>>
    readonly total: object
  }
  const seen: string[] = []
  let after: unknown = null
  for (let more = true; more; ) {
    const { edges, pageInfo, total }: Shown = (await ask(query, { after })).tenant.hosts
    assert.deepEqual(total, { value: 3, exact: true })
    const [{ cursor, node }] = edges
    seen.push(node.name)
    assert.deepEqual([pageInfo.startCursor, pageInfo.endCursor], [cursor, cursor])
    assert.equal(pageInfo.hasPreviousPage, after !== null)
    const rest: { body: { items: { name: string }[] } } = await http.get(
      `/v1/tenants/shop/hosts?sort=-name&cluster=east&limit=1&cursor=${cursor}`,
    )
    more = pageInfo.hasNextPage === true
    assert.equal(rest.body.items.length, more ? 1 : 0)
    after = pageInfo.endCursor
  }
  assert.deepEqual(seen, ['h3.shop.test', 'h2.shop.test', 'h1.shop.test'])
  const { hosts, certificates, auditEvents, clusters, none } = await ask(`{
    hosts(sort: createdAt, first: 2) { items { name } total { value } }
    certificates(keyAlgorithm: ECDSA_P256, profile: client) { items { tenant { name } } total { value } }
    auditEvents(sort: seq, action: "tenant.created", first: 1) { items { subject { name } } }
    clusters { items { name hosts(name: "h0.shop.test") { items { name } total { value } } } }
    none: tenants(label: "team=nobody") { edges { cursor } pageInfo { endCursor } total { value } }
  }`)
  assert.deepEqual(names(hosts.items), ['h0.shop.test', 'h1.shop.test'])
  assert.equal(hosts.total.value, 5)
  assert.deepEqual(certificates, { items: [{ tenant: { name: 'shop' } }], total: { value: 1 } })
  assert.equal(auditEvents.items[0].subject.name, 'shop')
  assert.deepEqual(none, { edges: [], pageInfo: { endCursor: null }, total: { value: 0 } })
  const totals = clusters.items.map((each: { hosts: { total: { value: number } } }) => [
    each.hosts.total.value,
  ])
  assert.deepEqual(totals, [[0], [1]])
  const wrong = await refused('{ hosts(label: "no label!") { items { name } } }')
  assert.equal(wrong.type, problem('request-invalid'))
  const other = await refused(`{ hosts(sort: createdAt, after: "${after}") { items { name } } }`)
  assert.equal(other.type, problem('cursor-refused'))
})

test('what expires is put together, and what there is counted, for who may see it', async () => {
  const by = (grouping: string, filter = '') =>
    `expiringCertificates(within: "P100D", groupBy: ${grouping} ${filter}) {
      groups { key count renewing soonestEnd } total { value } }`
  const data = await ask(`{
    tenant: ${by('tenant')} authority: ${by('authority')} cluster: ${by('cluster', 'tenant: "shop"')}
    profile: ${by('profile')} day: ${by('day')}
    none: expiringCertificates(within: "P100D", first: 1) { groups { key } }
    expiries(within: "P100D", by: week) { from count }
    inventory { authority { name } keyAlgorithm keyType keySize active expired revoked soonestEnd }
    own: inventory(tenant: "rival", authority: "issuing") { active }
    nothing: inventory(authority: "house") { active }
  }`)
  type Group = { readonly key: string; readonly count: number }
  const counts = ({ groups }: { groups: readonly Group[] }) =>
    Object.fromEntries(groups.map(({ key, count }) => [key, count]))
  assert.deepEqual(counts(data.tenant), { shop: 5, rival: 1 })
  assert.deepEqual(counts(data.authority), { issuing: 6 })
  assert.deepEqual(counts(data.cluster), { east: 3, west: 4 })
  assert.deepEqual(counts(data.profile), { client: 1, server: 5 })
  assert.equal(data.day.groups.length, 2)
  assert.match(data.day.groups[0].key, /^\d{4}-\d\d-\d\dT00:00:00Z$/)
  assert.deepEqual(data.tenant.groups[0].renewing, 4)
  assert.equal(data.none.groups, null)
  const histogram = data.expiries.map(({ count }: Group) => count)
  assert.deepEqual(histogram, [1, 5])
  const [all] = data.inventory
  assert.equal(data.inventory.length, 1)
  const { soonestEnd, ...told } = all
  assert.equal(soonestEnd, data.tenant.groups[0].soonestEnd)
  assert.deepEqual(told, {
    ...{ authority: { name: 'issuing' }, keyAlgorithm: 'ECDSA_P256', keyType: 'ECDSA' },
    ...{ keySize: 256, active: 6, expired: 0, revoked: 0 },
  })
  assert.deepEqual([data.own, data.nothing], [[{ active: 1 }], []])
  const own = await ask(`{ ${by('tenant')} inventory { active } }`, {}, shop)
  assert.deepEqual(counts(own.expiringCertificates), { shop: 5 })
  assert.deepEqual(own.inventory, [{ active: 5 }])
  const theirs = await refused(`{ ${by('tenant', 'tenant: "rival"')} }`, shop)
  assert.equal(theirs.type, problem('tenant-unknown'))
})

/** Enough of everything that is listed, and each with what it leads to. */
async function fillAll(): Promise<void> {
  const tenantOf = (n: number) => ({ ...base, name: `many-${n}`, domains: [`many-${n}.test`] })
  for (let n = 0; n < most; n++) {
    await createTenant(ctx, admin, tenantOf(n))
    await createCluster(ctx, admin, { name: `many-${n}`, kubeconfig, ingress })
    const name = `many-${n}`
    await createAuthority(ctx, admin, { name, kind: 'intermediate', parent: 'house', subject })
    for (const host of ['a', 'b'])
      await serve(`many-${n}`, `${host}.many-${n}.test`, [name, 'east'])
    await serve('many-0', `h${n}.many-0.test`, ['east', name])
  }
  const tenant = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'many-0' } })
  const made = await ctx.db.read.certificate.findMany({
    where: { tenantId: tenant.id },
    take: most,
  })
  const at = new Date()
  await ctx.db.read.delivery.createMany({
    data: made.map(({ id: certificateId }, n) => ({
      ...{ id: randomUUID(), tenantId: tenant.id, name: `d-${n}`, certificateId },
      ...{ secretName: `s-${n}`, namespace: 'web', createdAt: at, updatedAt: at },
    })),
  })
  const clusters = await ctx.db.read.cluster.findMany({ where: { name: { startsWith: 'many-' } } })
  await ctx.db.read.foreignCertificate.createMany({
    data: clusters.map(({ id: clusterId, name }) => ({
      ...{ id: randomUUID(), clusterId, ingress: 'default', credential: `kubernetes://${name}` },
      ...{ fingerprintSha256: name.padEnd(64, '0'), serial: '0a', subject: `CN=${name}` },
      ...{ issuer: 'CN=else', dnsNames: [], ipAddresses: [], keyAlgorithm: null, chainLength: 0 },
      ...{ notBefore: at, notAfter: at, servedNames: [], gateways: [], pods: 1 },
      ...{ firstSeenAt: at, seenAt: at },
    })),
  })
}

const most = 3
const schema = buildSchema(sdl)

/** The members of a type that need no arguments: those that are told in one word, and those that lead on. */
function membersOf(type: GraphQLObjectType) {
  const open = Object.values(type.getFields()).filter(
    ({ name, args }) =>
      name !== 'listeners' && args.every((arg) => !String(arg.type).endsWith('!')),
  )
  const isWord = ({ type: of }: (typeof open)[number]) => isLeafType(getNamedType(of))
  return {
    words: open.filter(isWord).map(({ name }) => name),
    further: open.filter((field) => !isWord(field)),
  }
}

/** Everything of a type, `depth` things deep; lists whole. */
function selectionOf(type: GraphQLNamedType, depth: number): string {
  if (!isObjectType(type)) return ''
  const { words, further } = membersOf(type)
  const inner = further.flatMap((field) => {
    const of = getNamedType(field.type)
    if (depth === 0) return []
    return of.name.endsWith('Connection')
      ? [`${field.name}(first: 2) { ${listOf(of, depth - 1)} }`]
      : [`${field.name} { ${selectionOf(of, depth - 1)} }`]
  })
  return [...words, ...inner, '__typename'].join(' ')
}

function listOf(type: GraphQLNamedType, depth: number): string {
  const node = schema.getType(type.name.replace('Connection', ''))
  assert.ok(node)
  return `edges { cursor node { ${selectionOf(node, depth)} } } pageInfo { endCursor } total { value }`
}

/** Every list with every member of what it lists, as a query each; `$first` of them. */
function listQueries(): readonly string[] {
  const lists = Object.values(schema.getQueryType()?.getFields() ?? {}).filter(({ type }) =>
    String(type).endsWith('Connection'),
  )
  assert.ok(lists.length > 7)
  return lists.flatMap(({ name, args, type }) => {
    const node = schema.getType(String(type).replace(/^Expiring|Connection/g, ''))
    assert.ok(isObjectType(node))
    const whose =
      args.some((arg) => arg.name === 'tenant') && name !== 'auditEvents' && name !== 'authorities'
    const given = [
      ...(whose ? ['tenant: "many-0"'] : []),
      ...(args.some((arg) => arg.name === 'within') ? ['within: "P999D"'] : []),
    ].join(' ')
    const list = (inner: string) =>
      `${name}(first: $first ${given}) { edges { cursor node { ${inner} } } pageInfo { hasNextPage } total { value } }`
    const { words, further } = membersOf(node)
    return [
      list(words.join(' ')),
      ...further.map((field) => {
        const of = getNamedType(field.type)
        return of.name.endsWith('Connection')
          ? list(`${field.name}(first: 2) { ${listOf(of, 1)} }`)
          : list(`${field.name} { ${selectionOf(of, 1)} }`)
      }),
    ]
  })
}

test('a page takes as many statements as another, however much is on it', async () => {
  await fillAll()
  const statements = async (list: string, first: number) => {
    const sent = mock.method(pg.Client.prototype, 'query')
    const data = await ask(`query ($first: Int) { ${list} }`, { first })
    const count = sent.mock.callCount()
    sent.mock.restore()
    return { count, data }
  }
  for (const list of listQueries()) {
    let [few, many] = [await statements(list, 2), await statements(list, most)]
    // What is kept for some seconds is read again by one of them, and what two relations lead to together or not.
    for (let tries = 0; many.count !== few.count && tries < 5; tries++) {
      few = await statements(list, 2)
      if (many.count !== few.count) many = await statements(list, most)
    }
    assert.ok(few.count > 2 && few.count < 40, `${few.count} statements for ${list}`)
    assert.equal(many.count, few.count, list)
    const [{ edges }] = Object.values(many.data) as [{ edges: unknown[] }]
    assert.equal(edges.length, most, list)
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

const operator = send(await tokenFor(ctx, 'shop', 'operator'))
const put = `mutation ($name: String!, $spec: HostSpecInput!, $match: String, $none: String, $dry: Boolean) {
  putHost(tenant: "shop", name: $name, spec: $spec, ifMatch: $match, ifNoneMatch: $none, dryRun: $dry) {
    name etag generation labels removedAt spec { routes { to { service } destinations { port } } } } }`

test('a host is put, held to its etag, rehearsed and removed as by REST', async () => {
  const name = 'new.shop.test'
  const spec = { routes: [{ to, timeout: null }], clusters: ['east'], labels: { env: 'prod' } }
  const made = (await ask(put, { name, spec, none: '*' }, operator)).putHost
  assert.deepEqual([made.name, made.generation, made.labels], [name, 1, { env: 'prod' }])
  const url = `/v1/tenants/shop/hosts/${name}`
  // One destination is one, and not a list of one.
  const again = await operator
    .put(url)
    .set('if-match', `"${made.etag}"`)
    .send({ ...spec, routes: [{ to }] })
  assert.deepEqual([again.status, again.body.generation], [200, 1])
  const [etag = ''] = [again.headers.etag].flat()
  const several = [
    {
      to: [
        { ...to, weight: 1 },
        { ...to, port: 81, weight: 3 },
      ],
    },
  ]
  const change = { ...spec, routes: several }
  const dry = (await ask(put, { name, spec: change, dry: true }, operator)).putHost
  assert.deepEqual([dry.generation, dry.spec.routes[0].destinations.length], [2, 2])
  const changed = (await ask(put, { name, spec: change, match: etag }, operator)).putHost
  assert.equal(changed.generation, 2)
  for (const [what, type] of [
    [{ match: made.etag }, 'precondition-failed'],
    [{ none: '*' }, 'precondition-failed'],
    [{ spec: { ...spec, clusters: ['nowhere'] } }, 'host-refused'],
    [{ spec: { ...spec, routes: [] } }, 'request-invalid'],
    [{ spec: { ...spec, routes: [{ to: [] }] } }, 'request-invalid'],
    [{ name: 'www.rival.test' }, 'host-refused'],
  ] as const) {
    const answer = await operator
      .post('/graphql')
      .send({ query: put, variables: { name, spec, ...what } })
    assert.equal(answer.body.errors?.[0].extensions.type, problem(type), JSON.stringify(what))
    assert.equal(answer.body.data.putHost, null)
  }
  const gone = await ask(
    `mutation ($tag: String) { removeHost(tenant: "shop", name: "${name}", ifMatch: $tag) { removedAt } }`,
    { tag: changed.etag },
    operator,
  )
  assert.notEqual(gone.removeHost.removedAt, null)
  assert.notEqual((await operator.get(url)).body.removedAt, null)
})

test('a certificate is issued once for a key, renewed and revoked, in the order of the request', async () => {
  const certificate = { profile: 'client', subject: { commonName: 'bot' }, validityDays: 20 }
  const issue = `mutation ($certificate: NewCertificateInput!) {
    issueCertificate(tenant: "shop", certificate: $certificate, idempotencyKey: "bot-1") { id status } }`
  const first = (await ask(issue, { certificate }, operator)).issueCertificate
  const second = (await ask(issue, { certificate }, operator)).issueCertificate
  const overRest = await operator
    .post('/v1/tenants/shop/certificates')
    .set('idempotency-key', 'bot-1')
    .send(certificate)
  assert.deepEqual([second.id, overRest.body.id], [first.id, first.id])
  const other = { ...certificate, validityDays: 21 }
  const answer = await operator
    .post('/graphql')
    .send({ query: issue, variables: { certificate: other } })
  assert.equal(answer.body.errors[0].extensions.type, problem('idempotency-mismatch'))
  const renew = (key: string) =>
    `renewCertificate(tenant: "shop", id: $id, idempotencyKey: "${key}") { id replaces status }`
  const revoke = (reason: string) =>
    `revokeCertificate(tenant: "shop", id: $id, reason: ${reason}) { status replacedBy revocationReason }`
  const done = await operator.post('/graphql').send({
    query: `mutation ($id: ID!) { a: ${renew('r-1')} b: ${renew('r-1')} c: ${renew('r-2')}
      d: ${revoke('superseded')} e: ${revoke('unspecified')} }`,
    variables: { id: first.id },
  })
  const { a, b, c, d, e } = done.body.data
  assert.equal(a.replaces, first.id)
  assert.equal(b.id, a.id)
  assert.equal(c, null)
  assert.equal(done.body.errors.length, 1)
  assert.equal(done.body.errors[0].extensions.type, problem('certificate-replaced'))
  assert.deepEqual(d, { status: 'revoked', replacedBy: a.id, revocationReason: 'superseded' })
  assert.deepEqual(e, d)
})

test('who may not change a thing is told so before anything is looked at, and too much is not begun', async () => {
  const wrong = 'mutation { revokeCertificate(tenant: "NO NAME", id: "no id") { id } }'
  const readsHosts = await createApiKey(ctx, admin, {
    tenant: 'shop',
    request: { name: 'reads', role: 'admin', scopes: ['hosts:read', 'certificates:read'] },
  })
  for (const hand of [shop, send(readsHosts.token)]) {
    assert.equal((await refused(wrong, hand)).type, problem('forbidden'))
  }
  assert.equal((await refused(wrong, operator)).type, problem('request-invalid'))
  const theirs = await ctx.db.read.certificate.findFirstOrThrow({
    where: { tenant: { name: 'rival' } },
  })
  for (const [tenant, type] of [
    ['rival', 'tenant-unknown'],
    ['shop', 'certificate-unknown'],
  ] as const) {
    const one = `mutation { revokeCertificate(tenant: "${tenant}", id: "${theirs.id}") { id } }`
    assert.equal((await refused(one, operator)).type, problem(type))
  }
  const one = 'issueCertificate(tenant: "shop", certificate: { profile: client }) { id }'
  const many = [...Array(26).keys()].map((n) => `m${n}: ${one}`).join(' ')
  const count = await ctx.db.read.certificate.count()
  assert.equal((await refused(`mutation { ${many} }`, operator)).type, problem('request-too-large'))
  assert.equal(await ctx.db.read.certificate.count(), count)
})
