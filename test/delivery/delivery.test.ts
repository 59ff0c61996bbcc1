import assert from 'node:assert/strict'
import { test } from 'node:test'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { KubeError } from '../../src/clusters/kubernetes/kube.ts'
import { changeCluster } from '../../src/clusters/register.ts'
import { sql } from '../../src/core/database/db.ts'
import { objectName } from '../../src/delivery/istio/names.ts'
import { planHost } from '../../src/delivery/preview/hostplan.ts'
import { probeHost } from '../../src/delivery/proof/probe.ts'
import { pushPlacement } from '../../src/delivery/push.ts'
import { recordedRefs } from '../../src/hosts/objects.ts'
import { removeHost } from '../../src/hosts/remove.ts'
import { admin } from '../support/context.ts'
import { isProblem } from '../support/problem.ts'
import { asManager } from './drift/support.ts'
import { deliver, httpbin, openStage, placementOf, places, put, read, work } from './support.ts'

const { ctx, kube, address, sandbox } = await openStage()
const ingress = { namespace: 'istio-system' }

function probe(name: string, asked: Parameters<typeof probeHost>[2]['asked'] = {}) {
  return probeHost(ctx, admin, { tenant: 'shop', name, asked }).then(({ results: [first] }) => {
    assert.ok(first)
    return first
  })
}

function plan(name: string, asked: Parameters<typeof planHost>[2]['asked'] = {}) {
  return planHost(ctx, admin, { tenant: 'shop', name, asked })
}

async function actions(name: string) {
  const { clusters } = await plan(name)
  return clusters.flatMap(({ changes }) => changes.map(({ action, kind }) => `${action} ${kind}`))
}

test('a SIMPLE host is Synced when the certificate served is the certificate issued', async () => {
  const name = 'simple.shop.test'
  await put(ctx, name)
  const [before] = (await read(ctx, name)).status.clusters
  assert.equal(before?.status, 'Pending')
  const { status } = await work(ctx, name)
  const [placement] = status.clusters
  assert.deepEqual([placement?.status, placement?.message], ['Synced', null])
  assert.deepEqual(placement?.warnings, [])
  assert.deepEqual(places(placement?.objects ?? []), [
    'Secret istio-system',
    'Gateway istio-system',
    'VirtualService istio-system',
  ])
  const probed = await probe(name, { path: '/status/418' })
  assert.equal(probed.tls?.issuedIsServed, true)
  assert.equal(probed.tls?.distrust, null)
  assert.equal(probed.tls?.served.serial, status.certificate?.serial)
  assert.equal(probed.tls?.served.fingerprintSha256, status.certificate?.fingerprintSha256)
  assert.deepEqual([probed.tls?.version, probed.http?.status], ['TLSv1.3', 418])
  assert.equal(probed.tls?.served.chainLength, 2)
})

test('a push of what is there changes nothing on the cluster', async () => {
  const name = 'still.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  assert.deepEqual(await actions(name), ['keep Secret', 'keep Gateway', 'keep VirtualService'])
  const { row } = await placementOf(ctx, name)
  await deliver(ctx, row.id)
  const { row: again } = await placementOf(ctx, name)
  assert.deepEqual({ ...again, provedAt: row.provedAt }, row)
  assert.ok(again.provedAt && row.provedAt && again.provedAt > row.provedAt)
})

test('what somebody changed on the cluster is put right', async () => {
  const name = 'drift.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  const ref = { ...kinds.istioVirtualService, ...ingress, name: objectName(name) }
  await kube.remove(ref)
  assert.deepEqual(await actions(name), ['keep Secret', 'keep Gateway', 'create VirtualService'])
  await work(ctx, name)
  assert.ok(await kube.get(ref))
})

test('a change of routes and of plain HTTP reaches the cluster', async () => {
  const name = 'change.shop.test'
  await put(ctx, name)
  const first = await work(ctx, name)
  const routes = [
    { match: { exact: '/hello' }, to: { ...httpbin, service: 'helloworld', port: 5000 } },
  ]
  await put(ctx, name, { routes, http: 'off' })
  assert.deepEqual(await actions(name), [
    'update Secret',
    'update Gateway',
    'update VirtualService',
  ])
  const second = await work(ctx, name)
  assert.equal(second.status.clusters[0]?.status, 'Synced')
  assert.equal(second.status.certificate?.id, first.status.certificate?.id)
  assert.equal((await probe(name, { path: '/hello' })).http?.status, 200)
  assert.equal((await probe(name, { path: '/other' })).http?.status, 404)
})

test('a new certificate is served before the host is Synced again', async () => {
  const name = 'renew.shop.test'
  await put(ctx, name)
  const first = await work(ctx, name)
  await put(ctx, name, { certificate: { organization: 'shop organization' } })
  const second = await work(ctx, name)
  assert.notEqual(second.status.certificate?.serial, first.status.certificate?.serial)
  assert.equal(second.status.clusters[0]?.status, 'Synced')
  assert.equal((await probe(name)).tls?.served.serial, second.status.certificate?.serial)
})

test('a MUTUAL host refuses who has no certificate of its authority', async () => {
  const name = 'mutual.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL' } })
  const host = await work(ctx, name)
  assert.equal(host.status.clusters[0]?.message, null)
  assert.equal(host.status.clusters[0]?.status, 'Synced')
  const issue = (authority: string) =>
    issueCertificate(ctx, admin, {
      tenant: 'shop',
      request: { profile: 'client', subject: { commonName: 'client.shop.test' }, authority },
      idempotencyKey: undefined,
    })
  const known = await issue('house')
  const without = await probe(name)
  assert.equal(without.http, null)
  assert.notEqual(without.error, null)
  assert.equal(without.tls?.issuedIsServed, true)
  const withIt = await probe(name, { clientCertificate: known.id, path: '/status/418' })
  assert.deepEqual([withIt.http?.status, withIt.error], [418, null])
  const sibling = await issue('root')
  const foreign = await probe(name, { clientCertificate: sibling.id })
  assert.equal(foreign.http, null)
})

test('a MUTUAL host that speaks TLS 1.2 only is verified as well', async () => {
  const name = 'older.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL', maxVersion: 'TLSV1_2' } })
  const host = await work(ctx, name)
  assert.deepEqual(
    [host.status.clusters[0]?.status, host.status.clusters[0]?.message],
    ['Synced', null],
  )
})

test('a PASSTHROUGH host is served by its backend, with the certificate delivered to it', async () => {
  const name = 'through.shop.test'
  const nginx = { ...httpbin, service: 'nginx-service' }
  await put(ctx, name, {
    tls: { mode: 'PASSTHROUGH' },
    http: 'serve',
    routes: [{ to: { ...nginx, port: 443 } }, { match: { port: 80 }, to: nginx }],
  })
  const { status } = await work(ctx, name)
  assert.deepEqual([status.clusters[0]?.status, status.clusters[0]?.message], ['Synced', null])
  assert.deepEqual(places(status.clusters[0]?.objects ?? []), [
    'Secret test',
    'Gateway istio-system',
    'VirtualService istio-system',
  ])
  assert.equal((await probe(name)).tls?.issuedIsServed, true)
})

test('a change of mode leaves nothing behind', async () => {
  const name = 'mode.shop.test'
  const nginx = { ...httpbin, service: 'nginx-service', port: 443 }
  await put(ctx, name, { tls: { mode: 'PASSTHROUGH' }, routes: [{ to: nginx }] })
  await work(ctx, name)
  const backend = { ...kinds.secret, namespace: 'test', name: 'mode-shop-test-tls' }
  assert.ok(await kube.get(backend))
  await put(ctx, name)
  const { status } = await work(ctx, name)
  assert.equal(status.clusters[0]?.status, 'Synced')
  assert.equal(await kube.get(backend), undefined)
  assert.equal(status.clusters[0]?.objects.length, 3)
})

test('a wildcard host is served under its names', async () => {
  const name = '*.wild.shop.test'
  await put(ctx, name)
  const { status } = await work(ctx, name)
  assert.deepEqual([status.clusters[0]?.status, status.clusters[0]?.message], ['Synced', null])
})

test('a route to a Service or port that is not there is a condition of the host', async () => {
  const name = 'nowhere.shop.test'
  const routes = [
    { match: { prefix: '/a' }, to: { ...httpbin, service: 'nobody' } },
    { match: { prefix: '/b' }, to: { ...httpbin, port: 81 } },
  ]
  await put(ctx, name, { routes })
  const { status } = await work(ctx, name)
  assert.equal(status.clusters[0]?.status, 'Synced')
  assert.deepEqual(status.clusters[0]?.warnings, [])
  const seen = async () => {
    const [condition, ...more] = (await placementOf(ctx, name)).shown.conditions
    assert.deepEqual([condition?.type, more], ['BackendsFound', []])
    assert.ok(condition)
    return condition
  }
  const missing = await seen()
  assert.equal(missing.status, 'False')
  assert.match(missing.message ?? '', /no Service test\/nobody/)
  assert.match(missing.message ?? '', /test\/httpbin has no port 81, only 80 \(http\)/)
  // As long as something is missing it is the same condition.
  await work(ctx, name)
  assert.equal((await seen()).since, missing.since)
  const { row } = await placementOf(ctx, name)
  const look = await ctx.db.read.$queryRaw<{ key: string }[]>(
    sql`select key from graphile_worker.jobs where key like ${`placement.look/${row.id}%`}`,
  )
  assert.equal(look.length, 1)
  await put(ctx, name)
  await work(ctx, name)
  const found = await seen()
  assert.deepEqual([found.status, found.message], ['True', null])
  assert.notEqual(found.since, missing.since)
})

test('what others have put before the ingress is a conflict, and nothing is pushed', async () => {
  const name = 'taken.shop.test'
  await kube.apply({
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: 'theirs', namespace: 'test' },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [
        {
          port: { number: 443, name: 'https', protocol: 'HTTPS' },
          hosts: [name],
          tls: { mode: 'SIMPLE', credentialName: 'theirs' },
        },
      ],
    },
  })
  await put(ctx, name)
  const planned = await plan(name)
  assert.match(planned.clusters[0]?.conflicts[0] ?? '', /Gateway test\/theirs already serves/)
  const { status } = await work(ctx, name)
  assert.equal(status.clusters[0]?.status, 'Conflict')
  assert.match(status.clusters[0]?.message ?? '', /Gateway test\/theirs already serves/)
  assert.equal(await kube.get({ ...kinds.secret, ...ingress, name: objectName(name) }), undefined)
  const { row } = await placementOf(ctx, name)
  // As a worker that takes the job.
  await ctx.db.read.$executeRaw(sql`delete from graphile_worker._private_jobs`)
  await pushPlacement(ctx, { placementId: row.id })
  const jobs = await ctx.db.read.$queryRaw<{ run_at: Date }[]>(
    sql`select run_at from graphile_worker.jobs where key like ${`placement.push/${row.id}%`}`,
  )
  assert.ok(jobs.some(({ run_at }) => run_at.getTime() > Date.now() + 30_000))
  await kube.remove({ ...kinds.istioGateway, namespace: 'test', name: 'theirs' })
  assert.equal((await work(ctx, name)).status.clusters[0]?.status, 'Synced')
})

test('an object under our name that is not ours is left alone', async () => {
  const name = 'squat.shop.test'
  const metadata = { ...ingress, name: objectName(name) }
  const squatter = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata,
    type: 'Opaque',
    data: { a: 'YQ==' },
  }
  await kube.apply(squatter)
  await put(ctx, name)
  // Nor is it taken for ours because we were about to make it.
  for (const _ of ['first', 'second']) {
    const { status } = await work(ctx, name)
    assert.equal(status.clusters[0]?.status, 'Conflict')
    assert.match(status.clusters[0]?.message ?? '', /was not made for this host/)
    assert.deepEqual((await kube.get({ ...kinds.secret, ...metadata }))?.data, { a: 'YQ==' })
  }
})

test('where one object under our names is not ours, none is made', async () => {
  const name = 'squatroute.shop.test'
  const metadata = { ...ingress, name: objectName(name) }
  const http = [{ route: [{ destination: { host: 'httpbin' } }] }]
  const theirs = { ...kinds.istioVirtualService, metadata, spec: { hosts: ['other.test'], http } }
  await kube.apply(theirs)
  await put(ctx, name)
  const { status } = await work(ctx, name)
  assert.equal(status.clusters[0]?.status, 'Conflict')
  assert.match(status.clusters[0]?.message ?? '', /^VirtualService \S+ exists and was not made/)
  for (const kind of [kinds.secret, kinds.istioGateway]) {
    assert.equal(await kube.get({ ...kind, ...metadata }), undefined)
  }
  const there = await kube.get({ ...kinds.istioVirtualService, ...metadata })
  assert.deepEqual(there?.spec, theirs.spec)
  await kube.remove({ ...kinds.istioVirtualService, ...metadata })
  assert.equal((await work(ctx, name)).status.clusters[0]?.status, 'Synced')
})

test('an object is made only where there is none', async () => {
  const metadata = { ...ingress, name: 'made.shop.test' }
  const object = { ...kinds.secret, metadata, type: 'Opaque', data: { a: 'YQ==' } }
  await kube.apply(object, { make: true, dryRun: true })
  await kube.apply(object, { make: true })
  for (const dryRun of [true, false]) {
    await assert.rejects(kube.apply({ ...object, data: {} }, { make: true, dryRun }), isExists)
  }
  assert.deepEqual((await kube.get({ ...kinds.secret, ...metadata }))?.data, { a: 'YQ==' })
})

function isExists(error: unknown): boolean {
  return error instanceof KubeError && error.fault === 'exists'
}

test('a host is taken off: its objects, its placement and at last its row', async () => {
  const name = 'leaving.shop.test'
  await put(ctx, name)
  const { status } = await work(ctx, name)
  const objects = status.clusters[0]?.objects ?? []
  await removeHost(ctx, admin, { tenant: 'shop', name })
  const { row } = await placementOf(ctx, name)
  await pushPlacement(ctx, { placementId: row.id })
  for (const ref of recordedRefs(objects)) assert.equal(await kube.get(ref), undefined, ref.kind)
  await assert.rejects(read(ctx, name), isProblem('host-unknown'))
  const events = await ctx.db.read.auditEvent.findMany({
    where: { subjectName: name, subjectKind: 'host' },
    orderBy: { seq: 'asc' },
  })
  assert.deepEqual(
    events.map(({ action }) => action),
    ['host.created', 'host.removed', 'host.withdrawn'],
  )
  await pushPlacement(ctx, { placementId: row.id })
})

test('a host that is wanted again while it goes stays', async () => {
  const name = 'again.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  await removeHost(ctx, admin, { tenant: 'shop', name })
  await put(ctx, name)
  assert.equal((await work(ctx, name)).status.clusters[0]?.status, 'Synced')
})

test('a plan says what a change would do, also for a host that is not there yet', async () => {
  const name = 'planned.shop.test'
  const spec = { routes: [{ to: httpbin }], clusters: ['sandbox'] }
  const fresh = await plan(name, { spec })
  assert.deepEqual(
    fresh.clusters[0]?.changes.map(({ action, name: object }) => [action, object]),
    [
      ['create', objectName(name)],
      ['create', objectName(name)],
      ['create', objectName(name)],
    ],
  )
  await assert.rejects(plan(name), isProblem('host-unknown'))
  await put(ctx, name)
  await work(ctx, name)
  const same = await plan(name, { spec })
  assert.deepEqual(
    same.clusters[0]?.changes.map(({ action }) => action),
    ['keep', 'keep', 'keep'],
  )
  const other = await plan(name, { spec: { ...spec, http: 'off' } })
  assert.ok(other.clusters[0]?.changes.some(({ action }) => action === 'update'))
})

test('a cluster that is away is Failed with the reason, and the push is tried again', async () => {
  const name = 'away.shop.test'
  await put(ctx, name)
  const away = sandbox.kubeconfig.replace(sandbox.apiUrl, 'https://127.0.0.1:1')
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { kubeconfig: away } })
  await assert.rejects(work(ctx, name), /ECONNREFUSED/)
  const { shown } = await placementOf(ctx, name)
  assert.equal(shown.status, 'Failed')
  assert.match(shown.message ?? '', /ECONNREFUSED/)
  assert.match((await plan(name)).clusters[0]?.error ?? '', /ECONNREFUSED/)
  const { kubeconfig } = sandbox
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { kubeconfig } })
  assert.equal((await work(ctx, name)).status.clusters[0]?.status, 'Synced')
})

test('an ingress that does not serve the host is not Synced', async () => {
  const name = 'unserved.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  await changeCluster(ctx, admin, {
    name: 'sandbox',
    patch: { ingress: { address: '127.0.0.1:1' } },
  })
  const { status } = await work(ctx, name)
  assert.equal(status.clusters[0]?.status, 'Applied')
  assert.match(status.clusters[0]?.message ?? '', /127.0.0.1:1 makes no TLS connection/)
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { ingress: { address } } })
  assert.equal((await work(ctx, name)).status.clusters[0]?.status, 'Synced')
})

test('what an ingress has overlooked for a minute is changed and changed back, its Secret alone', async () => {
  const name = 'overlooked.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  const { row } = await placementOf(ctx, name)
  const refs = recordedRefs(row.objects)
  const seen = async () => {
    const found = await Promise.all(refs.map((ref) => kube.get(ref)))
    return found.map((object) => {
      assert.ok(object)
      const { annotations, resourceVersion } = object.metadata
      return { kind: object.kind, resourceVersion, as: { annotations, data: object.data } }
    })
  }
  const before = await seen()
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1000)
  const pushWhen = async (times: { readonly since: Date; readonly appliedAt: Date | null }) => {
    const data = { status: 'Applied', ...times }
    await ctx.db.read.placement.updateMany({ where: { id: row.id }, data })
    await pushPlacement(ctx, { placementId: row.id })
  }
  await pushWhen({ since: ago(70), appliedAt: ago(30) })
  await pushWhen({ since: ago(30), appliedAt: null })
  assert.deepEqual(await seen(), before)
  await pushWhen({ since: ago(70), appliedAt: null })
  const after = await seen()
  assert.deepEqual(
    after.filter(({ resourceVersion }, at) => resourceVersion !== before[at]?.resourceVersion),
    after.filter(({ kind }) => kind === 'Secret'),
  )
  assert.deepEqual(
    after.map(({ as }) => as),
    before.map(({ as }) => as),
  )
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { drift: 'report' } })
  const secret = refs.find(({ kind }) => kind === 'Secret')
  assert.ok(secret)
  await asManager(sandbox.kubeconfig).merge(secret, { metadata: { annotations: theirs } })
  const changed = await seen()
  assert.notDeepEqual(changed, after)
  await pushWhen({ since: ago(70), appliedAt: null })
  assert.deepEqual(await seen(), changed)
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { drift: 'repair' } })
})

/** An annotation of ours, as others would have it. */
const theirs = { 'gatesmith.dev/certificate': 'another' }
