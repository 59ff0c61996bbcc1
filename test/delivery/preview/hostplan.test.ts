import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkCluster } from '../../../src/clusters/check.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { changeCluster } from '../../../src/clusters/register.ts'
import { objectName } from '../../../src/delivery/istio/names.ts'
import { planHost } from '../../../src/delivery/preview/hostplan.ts'
import { caller } from '../../sandbox/support.ts'
import { admin } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'
import { httpbin, openStage, put, work } from '../support.ts'

const { ctx, kube, sandbox } = await openStage()
const namespace = 'istio-system'
const call = caller(sandbox.kubeconfig)
const kindsUsed = [kinds.secret, kinds.istioGateway, kinds.istioVirtualService]

async function plan(name: string, asked: Parameters<typeof planHost>[2]['asked'] = {}) {
  const { clusters } = await planHost(ctx, admin, { tenant: 'shop', name, asked })
  const [first] = clusters
  assert.ok(first)
  return first
}

const spec = { routes: [{ to: httpbin }], clusters: ['sandbox'] }

/** Every object of the cluster with its version. */
async function versions() {
  const all = await Promise.all(kindsUsed.map((kind) => kube.list(kind)))
  return all
    .flat()
    .map(({ kind, metadata }) => [kind, metadata.name, metadata.resourceVersion].join(' '))
    .toSorted()
}

const of = (planned: Awaited<ReturnType<typeof plan>>, kind: string) => {
  const found = planned.changes.find((each) => each.kind === kind)
  assert.ok(found, kind)
  return found
}

test('a host that is not there: what would be made, by a dry run that leaves nothing', async () => {
  const name = 'new.shop.test'
  const before = await versions()
  const planned = await plan(name, { spec })
  assert.deepEqual(await versions(), before)
  assert.deepEqual([planned.error, planned.conflicts], [null, []])
  assert.match(planned.warnings.join(), /certificate is issued first/)
  const gateway = of(planned, 'Gateway')
  assert.deepEqual([gateway.action, gateway.refused, gateway.moreFields], ['create', null, 0])
  assert.deepEqual(
    gateway.fields.find(({ pointer }) => pointer === '/spec/servers/0/hosts/0'),
    {
      pointer: '/spec/servers/0/hosts/0',
      change: 'added',
      before: null,
      after: `${namespace}/${name}`,
    },
  )
  const { secret } = of(planned, 'Secret')
  assert.deepEqual([secret?.certificateBefore, secret?.certificateAfter], [null, null])
})

test('a change is told field by field, and a Secret without a value', async () => {
  const name = 'change.shop.test'
  await put(ctx, name)
  const { status } = await work(ctx, name)
  const before = await versions()
  const same = await plan(name)
  assert.deepEqual(
    same.changes.map(({ action, fields }) => [action, fields.length]),
    [
      ['keep', 0],
      ['keep', 0],
      ['keep', 0],
    ],
  )
  const other = await plan(name, { spec: { ...spec, tls: { minVersion: 'TLSV1_3' } } })
  assert.deepEqual(
    of(other, 'Gateway').fields.map(({ pointer, before, after }) => [pointer, before, after]),
    [
      ['/metadata/annotations/gatesmith.dev~1generation', '1', '2'],
      ['/spec/servers/0/tls/minProtocolVersion', 'TLSV1_2', 'TLSV1_3'],
    ],
  )
  const { secret } = of(other, 'Secret')
  assert.equal(secret?.certificateAfter?.serial, status.certificate?.serial)
  assert.deepEqual(
    secret?.keys.map(({ change }) => change),
    ['kept', 'kept'],
  )
  assert.deepEqual(await versions(), before)
  assert.doesNotMatch(JSON.stringify(other), /LS0tLS1|PRIVATE KEY|BEGIN/)
})

test('a host that goes elsewhere: what would be removed', async () => {
  const name = 'leave.shop.test'
  const nginx = { ...httpbin, service: 'nginx-service', port: 443 }
  await put(ctx, name, { tls: { mode: 'PASSTHROUGH' }, routes: [{ to: nginx }] })
  await work(ctx, name)
  const before = await versions()
  const planned = await plan(name, { spec })
  const gone = planned.changes.find(({ action }) => action === 'remove')
  assert.deepEqual([gone?.kind, gone?.namespace, gone?.refused], ['Secret', 'test', null])
  assert.deepEqual(
    gone?.secret?.keys.map(({ key, change }) => `${key} ${change}`),
    ['tls.crt removed', 'tls.key removed'],
  )
  assert.deepEqual(await versions(), before)
})

test('fields that another manager took are named with it, and what taking them back would change', async () => {
  const name = 'held.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  const ref = { ...kinds.istioGateway, namespace, name: objectName(name) }
  const servers = [{ port: { number: 443, name: 'mine', protocol: 'HTTPS' }, hosts: ['x.test'] }]
  const path = `/apis/networking.istio.io/v1/namespaces/${namespace}/gateways/${ref.name}`
  const tls = { mode: 'SIMPLE', credentialName: 'x' }
  const edit = { spec: { servers: servers.map((server) => ({ ...server, tls })) } }
  const { status } = await call('PATCH', `${path}?fieldManager=kubectl-edit`, edit, {
    'content-type': 'application/merge-patch+json',
  })
  assert.equal(status, 200)
  const before = await versions()
  const held = of(await plan(name), 'Gateway')
  assert.deepEqual(held.heldByOthers, [{ manager: 'kubectl-edit', field: '.spec.servers' }])
  assert.equal(held.refused, null)
  assert.deepEqual(
    held.fields.find(({ pointer }) => pointer === '/spec/servers/0/hosts/0'),
    {
      pointer: '/spec/servers/0/hosts/0',
      change: 'changed',
      before: 'x.test',
      after: `${namespace}/${name}`,
    },
  )
  assert.deepEqual(await versions(), before)
})

test('what the cluster refuses is told in its own words', async () => {
  const name = 'refused.shop.test'
  const other = { ...spec, routes: [{ to: { ...httpbin, service: 'nginx-service', port: 443 } }] }
  const change = { tls: { mode: 'PASSTHROUGH' as const }, certificate: { secretName: 'big' } }
  // A Secret of another type: the type of one that is there cannot be changed.
  await put(ctx, name, { ...other, ...change })
  await work(ctx, name)
  const ref = { ...kinds.secret, namespace: 'test', name: 'big' }
  const secret = await kube.get(ref)
  assert.ok(secret)
  await kube.remove(ref)
  const { labels, annotations } = secret.metadata
  await kube.apply({
    ...{ apiVersion: 'v1', kind: 'Secret', type: 'Opaque', data: { a: 'YQ==' } },
    metadata: {
      name: 'big',
      namespace: 'test',
      ...(labels ? { labels } : {}),
      annotations: annotations ?? {},
    },
  })
  const planned = of(await plan(name), 'Secret')
  assert.equal(planned.action, 'update')
  assert.match(planned.refused ?? '', /immutable/)
})

test('an object that is somebody else’s is named, and nothing in it is told', async () => {
  const name = 'squat.shop.test'
  const metadata = { namespace, name: objectName(name) }
  const data = { theirs: Buffer.from('their secret').toString('base64') }
  await kube.apply({ apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data })
  const planned = await plan(name, { spec })
  assert.match(planned.conflicts.join(), /was not made for this host/)
  const { fields, secret } = of(planned, 'Secret')
  assert.deepEqual([fields, secret], [[], null])
})

test('a silent cluster is not asked: what is known of it is said', async () => {
  const name = 'silent.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  const away = sandbox.kubeconfig.replace(sandbox.apiUrl, 'https://127.0.0.1:1')
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { kubeconfig: away } })
  const { id } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'sandbox' } })
  await checkCluster(ctx, { clusterId: id })
  const planned = await plan(name)
  assert.match(planned.error ?? '', /has not answered since/)
  assert.deepEqual(planned.changes, [])
  const { kubeconfig } = sandbox
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { kubeconfig } })
  await checkCluster(ctx, { clusterId: id })
  assert.equal((await plan(name)).error, null)
})

test('a tenant has four plans and probes under way at most', async () => {
  const asked = { tenant: 'shop', name: 'change.shop.test', asked: {} }
  const all = await Promise.allSettled(
    Array.from({ length: 10 }, () => planHost(ctx, admin, asked)),
  )
  const refused = all.filter((each) => each.status === 'rejected').map(({ reason }) => reason)
  assert.ok(refused.length >= 1 && refused.length <= 6, String(refused.length))
  for (const each of refused) assert.ok(isProblem('busy')(each))
})
