import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { findListeners } from '../../../src/clusters/listeners/find.ts'
import { tablesOf, troublesOfIngress } from '../../../src/clusters/listeners/pods.ts'
import { changeCluster } from '../../../src/clusters/register.ts'
import type { Actor } from '../../../src/core/actor.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openStage, put, work } from '../../delivery/support.ts'
import { admin } from '../../support/context.ts'

const stage = await openStage()
const { ctx, kube } = stage
const ingress = {
  namespace: 'istio-system',
  selector: { istio: 'ingressgateway' },
  address: stage.address,
}
await put(ctx, 'a.shop.test')
await work(ctx, 'a.shop.test')

async function rows(query = {}, actor: Actor = admin) {
  return (await findListeners(ctx, actor, { name: 'sandbox', query: { limit: 500, ...query } }))
    .items
}

test('the table is read through a forwarded port of every ready pod, and hosts are named', async () => {
  const all = await rows()
  assert.deepEqual(
    all.map(({ pod, state, port, match, destination, tenant, host }) =>
      [
        pod,
        state,
        port,
        match,
        destination?.replace(/\.https-[^.]+\.a-shop-test-[^.]+\./, '.P.G.'),
        tenant,
        host,
      ].join(' '),
    ),
    [
      'istio-ingressgateway-sandbox active 8080 ALL Route: http.8080  ',
      'istio-ingressgateway-sandbox active 8443 SNI: a.shop.test Route: https.443.P.G.istio-system shop a.shop.test',
      'istio-ingressgateway-sandbox active 15021 ALL Inline Route: /healthz/ready*  ',
      'istio-ingressgateway-sandbox active 15090 ALL Inline Route: /stats/prometheus*  ',
    ],
  )
  const [own] = await rows({ host: 'A.shop.test' })
  assert.match(own?.gateway ?? '', /^istio-system\/a-shop-test-/)
  assert.equal(own?.tls?.clientCertificate, false)
  assert.deepEqual(await rows({ port: 1 }), [])
  assert.deepEqual(await rows({ state: 'error' }), [])
})

test('pages are of one reading', async () => {
  const first = await findListeners(ctx, admin, { name: 'sandbox', query: { limit: 3 } })
  assert.equal(first.items.length, 3)
  const query = { limit: 3, cursor: first.nextCursor ?? '' }
  const last = await findListeners(ctx, admin, { name: 'sandbox', query })
  assert.equal(last.nextCursor, null)
  assert.deepEqual([...first.items, ...last.items], await rows())
})

test('the API key of a tenant sees the chains of its own hosts', async () => {
  const { id } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'shop' } })
  await createTenant(ctx, admin, { name: 'other', domains: ['other.test'] })
  const other = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'other' } })
  const viewer = { ...admin, role: 'viewer' } as const
  const own = await rows({}, { ...viewer, tenantId: id })
  assert.deepEqual(
    own.map(({ host }) => host),
    ['a.shop.test'],
  )
  assert.deepEqual(await rows({}, { ...viewer, tenantId: other.id }), [])
})

test('what Envoy refuses is told with its reason, and what it had before is still shown', async () => {
  const rival = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: 'rival', namespace: 'test' },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [
        {
          port: { number: 443, name: 'https-rival', protocol: 'HTTPS' },
          hosts: ['test/a.shop.test'],
          tls: { mode: 'SIMPLE', credentialName: 'rival' },
        },
      ],
    },
  }
  await kube.apply(rival)
  try {
    const [told] = await troublesOfIngress(kube, ingress)
    assert.ok(told && 'told' in told, JSON.stringify(told))
    assert.deepEqual(
      told.told.map(({ state, port }) => [state, port]),
      [['error', 8443]],
    )
    assert.match(told.told[0]?.reason ?? '', /a\.shop\.test/)
    const [table] = await tablesOf(kube, ingress)
    assert.ok(table && 'told' in table && table.told.chains.some(({ port }) => port === 8443))
  } finally {
    await kube.remove({ ...rival, namespace: 'test', name: 'rival' })
  }
})

test('a pod that cannot be asked is a row, and the others are asked', async () => {
  const pod = (name: string, ready: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'istio-system' },
    spec: { containers: [{ name: 'istio-proxy', image: 'none' }] },
    status: { conditions: [{ type: 'Ready', status: ready }] },
  })
  await kube.apply(pod('deaf', 'True'))
  after(() =>
    kube.remove({ apiVersion: 'v1', kind: 'Pod', namespace: 'istio-system', name: 'deaf' }),
  )
  const gateways = ['istio-ingressgateway-sandbox', 'deaf', 'gone'].map((name) => pod(name, 'True'))
  // The sandbox lets nobody say which pods are ready.
  const list = async () => [pod('late', 'False'), ...gateways]
  const tables = await tablesOf({ ...kube, list }, ingress)
  assert.deepEqual(
    tables.map((each) => [each.pod, 'unread' in each ? each.unread : each.told.chains.length]),
    [
      [
        'deaf',
        "Envoy's admin interface cannot be read: failed to connect to localhost:15000 inside the pod: connection refused",
      ],
      ['gone', 'The port of the pod was not forwarded: pods "gone" not found'],
      ['istio-ingressgateway-sandbox', 4],
      ['late', 'The pod is not ready'],
    ],
  )
})

const answers: readonly { readonly title: string; readonly body: string; readonly told: RegExp }[] =
  [
    { title: 'no JSON', body: '<html>', told: /cannot be read/ },
    {
      title: 'JSON of another shape',
      body: '{"configs":[{"name":7}]}',
      told: /no dynamic listeners/,
    },
    { title: 'half an answer', body: '{"configs":[', told: /not whole/ },
  ]

for (const { title, body, told } of answers) {
  test(`an admin address that answers with ${title} is a row`, async () => {
    const server = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    after(() => server.close())
    const address = server.address()
    assert.ok(address && typeof address === 'object')
    const [table] = await tablesOf(kube, { ...ingress, adminAddress: `127.0.0.1:${address.port}` })
    assert.ok(table && 'unread' in table)
    assert.match(table.unread, told)
  })
}

test('an admin address is never link-local nor that of metadata', async () => {
  for (const adminAddress of ['169.254.169.254:80', '[fe80::1]:15000', '[fd00:ec2::254]:80']) {
    const patch = { ingress: { address: stage.address, adminAddress } }
    await assert.rejects(changeCluster(ctx, admin, { name: 'sandbox', patch }), {
      type: 'request-invalid',
    })
  }
})
