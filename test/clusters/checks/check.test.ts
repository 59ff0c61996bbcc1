import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startCluster } from '../../../sandbox/cluster.ts'
import { checkCluster, checkClusterNow } from '../../../src/clusters/check.ts'
import { getCluster } from '../../../src/clusters/find.ts'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { changeCluster, createCluster, removeCluster } from '../../../src/clusters/register.ts'
import { placesOn } from '../../../src/clusters/rights/places.ts'
import { newId } from '../../../src/core/context.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'

const directory = await mkdtemp(join(tmpdir(), 'gatesmith-checks-'))
const free = { apiPort: 0, tlsPort: 0, plainPort: 0 }
const sandbox = await startCluster({ directory, host: '127.0.0.1', ...free })
after(async () => {
  await sandbox.stop()
  await rm(directory, { recursive: true })
})
let now = new Date()
const ctx = await openTestContext({ now: () => now })
const { kubeconfig } = sandbox
const kube = connect(kubeconfig)
after(() => kube.close())
const ingress = { address: `127.0.0.1:${sandbox.tlsPort}` }
await createCluster(ctx, admin, { name: 'one', kubeconfig, ingress })
const { id: clusterId } = await ctx.db.read.cluster.findFirstOrThrow()

async function checked(name = 'one') {
  const { status, message, checks, found } = await checkClusterNow(ctx, admin, name)
  const bad = checks.filter((each) => each.status !== 'ok')
  return { status, message, checks, found, bad }
}

const crd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  namespace: '',
  name: 'virtualservices.networking.istio.io',
}

/** What is on the cluster without one of its CRDs; it is put back. */
async function without(work: () => Promise<void>): Promise<void> {
  const definition = await kube.get(crd)
  assert.ok(definition)
  await kube.remove(crd)
  try {
    await work()
  } finally {
    const { apiVersion, kind, spec } = definition
    await kube.apply({ apiVersion, kind, metadata: { name: crd.name }, ...(spec ? { spec } : {}) })
  }
}

test('a cluster that has all that hosts need is Ready, item by item', async () => {
  const { status, message, checks, bad, found } = await checked()
  assert.deepEqual(
    bad.map(({ item, subject, status }) => [item, subject, status]),
    [],
  )
  assert.equal(status, 'Ready')
  assert.equal(message, null)
  assert.deepEqual(
    [...new Set(checks.map(({ item }) => item))].toSorted(),
    [
      ['credentials', 'gateway-api', 'gateway-secrets', 'identity', 'ingress', 'istio'],
      ['kinds', 'kubernetes', 'reachable', 'rights', 'validation'],
    ].flat(),
  )
  assert.ok(found)
  assert.match(found.uid ?? '', /^[0-9a-f-]{36}$/)
  assert.deepEqual([found.istioVersion, found.istioRevision], ['1.31.0', 'default'])
  assert.deepEqual(found.ingresses, [
    {
      name: 'default',
      namespace: 'istio-system',
      pods: [{ name: 'istio-ingressgateway-sandbox', ready: true }],
      services: [
        {
          name: 'istio-ingressgateway',
          ports: [
            { port: 80, targetPort: '8080' },
            { port: 443, targetPort: '8443' },
          ],
        },
      ],
    },
  ])
})

test('a kind that is not served fails by its name, here and for hosts', async () => {
  await without(async () => {
    const { status, message, bad } = await checked()
    assert.equal(status, 'Failed')
    assert.match(message ?? '', /does not serve networking\.istio\.io\/v1 VirtualService/)
    assert.ok(bad.some(({ subject }) => subject === 'networking.istio.io VirtualService'))
    const what = { ...kinds.istioVirtualService, namespace: 'test', name: 'x' }
    const says = /^The cluster does not serve networking\.istio\.io\/v1 VirtualService$/
    await assert.rejects(kube.get(what), { fault: 'unsupported', message: says })
    await assert.rejects(kube.list(what), { fault: 'unsupported', message: says })
    await assert.rejects(kube.remove(what), { fault: 'unsupported', message: says })
    const metadata = { namespace: 'test', name: 'x' }
    const object = { ...kinds.istioVirtualService, metadata, spec: {} }
    await assert.rejects(kube.apply(object), { fault: 'unsupported', message: says })
  })
  assert.equal((await checked()).status, 'Ready')
})

test('an ingress without pods, or with those of another, fails by its name', async () => {
  const lobby = { selector: { istio: 'lobby' }, address: '127.0.0.1:1' }
  const twin = { selector: { app: 'istio-ingressgateway' }, address: '127.0.0.1:2' }
  await changeCluster(ctx, admin, { name: 'one', patch: { ingresses: { lobby, twin } } })
  const { status, bad } = await checked()
  assert.equal(status, 'Failed')
  const failed = bad.filter((each) => each.status === 'failed')
  assert.deepEqual(
    failed.map(({ item, subject }) => [item, subject]),
    [
      ['ingress', 'lobby'],
      ['ingress', 'twin'],
    ],
  )
  assert.match(failed[0]?.message ?? '', /istio=lobby/)
  assert.match(failed[1]?.message ?? '', /those of ingress "default"/)
  await changeCluster(ctx, admin, {
    name: 'one',
    patch: { ingresses: { lobby: null, twin: null } },
  })
  assert.equal((await checked()).status, 'Ready')
})

test('one cluster under two names: the later one fails, with the name of the first', async () => {
  now = new Date(now.getTime() + 1000)
  await createCluster(ctx, admin, { name: 'two', kubeconfig, ingress })
  const second = await checked('two')
  assert.equal(second.status, 'Failed')
  assert.match(second.message ?? '', /registered as "one"/)
  const first = await checked()
  assert.equal(first.status, 'Ready')
  assert.match(first.bad.find(({ item }) => item === 'identity')?.message ?? '', /again as "two"/)
  await removeCluster(ctx, admin, 'two')
  assert.equal((await checked()).checks.find(({ item }) => item === 'identity')?.status, 'ok')
})

test('what a tenant is shown says nothing of others', async () => {
  await changeCluster(ctx, admin, {
    name: 'one',
    patch: { ingress: { ...ingress, selector: { istio: 'none' } } },
  })
  await checked()
  const tenant = { ...admin, tenantId: newId(now) }
  const shown = await getCluster(ctx, tenant, 'one')
  assert.deepEqual([shown.status, shown.checks, shown.found], ['Failed', [], null])
  assert.doesNotMatch(shown.message ?? '', /istio=none/)
  await changeCluster(ctx, admin, { name: 'one', patch: { ingress } })
  await checked()
})

test('a cluster that is as it should be is looked at whole every five minutes, and at once when it is not', async () => {
  const look = () => checkCluster(ctx, { clusterId })
  const status = async () => (await getCluster(ctx, admin, 'one')).status
  await without(async () => {
    await look()
    assert.equal(await status(), 'Ready')
    now = new Date(now.getTime() + 5 * 60_000)
    await look()
    assert.equal(await status(), 'Failed')
  })
  await look()
  assert.equal(await status(), 'Ready')
})

test('rights are asked for where Secrets go: the namespaces of backends that end TLS themselves', async () => {
  await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
  const { id: tenantId } = await ctx.db.read.tenant.findFirstOrThrow()
  const to = (namespace: string) => ({ service: 'web', namespace, port: 443 })
  const specs = [
    { tls: { mode: 'SIMPLE' }, routes: [{ match: {}, to: { ...to('simple'), tls: {} } }] },
    {
      tls: { mode: 'PASSTHROUGH' },
      routes: [
        { match: { port: 443 }, to: to('raw') },
        { match: { port: 80 }, to: to('plain') },
      ],
    },
    { tls: { mode: 'PASSTHROUGH' }, routes: [{ match: { port: 443 }, to: to('istio-system') }] },
  ]
  for (const [index, spec] of specs.entries()) {
    const host = { id: newId(now), tenantId, name: `h${index}.shop.test` }
    const data = { ...host, spec, generation: 1, createdAt: now, updatedAt: now }
    await ctx.db.transaction(async (tx) => {
      await tx.host.create({ data })
      await tx.placement.create({
        data: {
          ...{ id: newId(now), tenantId, hostId: host.id, clusterId, name: host.name },
          ...{ wanted: true, status: 'Pending', since: now },
          objects: [{ kind: 'Secret', namespace: index === 0 ? 'given' : 'raw', name: 's' }],
        },
      })
    })
  }
  const ingresses = { default: { namespace: 'istio-system', selector: {}, address: '' } }
  assert.deepEqual(await placesOn(ctx.db.read, clusterId, ingresses), {
    ingress: ['istio-system'],
    workload: ['given', 'raw'],
    backend: ['plain', 'raw', 'simple'],
    restart: [],
    configMap: [],
    backendTls: ['istio-system'],
    mesh: ['istio-system'],
  })
})
