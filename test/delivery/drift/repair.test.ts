import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type KubeRef, kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { changeCluster } from '../../../src/clusters/register.ts'
import { syncCluster } from '../../../src/clusters/sync.ts'
import { digestOf } from '../../../src/delivery/drift/digest.ts'
import { repairsIn } from '../../../src/delivery/drift/policy.ts'
import { objectName } from '../../../src/delivery/istio/names.ts'
import { recordedObjects } from '../../../src/hosts/objects.ts'
import { startWorker, type Worker } from '../../../src/jobs/worker.ts'
import { admin } from '../../support/context.ts'
import { until } from '../../support/process.ts'
import { openStage, placementOf, put, read } from '../support.ts'
import { asManager } from './support.ts'

// What others do to what is ours, while a worker follows the cluster.

let worker: Worker | undefined
// Before the database goes.
after(() => worker?.stop())
const { ctx, kube, sandbox } = await openStage()
const others = asManager(sandbox.kubeconfig)
worker = await startWorker(ctx, 2)

/** What somebody makes of a VirtualService. */
const elsewhere = { spec: { http: [{ route: [{ destination: { host: 'elsewhere' } }] }] } }

const namespace = 'istio-system'

function refsOf(name: string) {
  const place = { namespace, name: objectName(name) }
  return {
    secret: { ...kinds.secret, ...place },
    gateway: { ...kinds.istioGateway, ...place },
    route: { ...kinds.istioVirtualService, ...place },
  }
}

async function synced(name: string) {
  return until(`${name} is Synced`, async () => {
    const [placement] = (await read(ctx, name)).status.clusters
    return placement?.status === 'Synced' ? placement : undefined
  })
}

async function intended(name: string, ref: KubeRef) {
  const { row } = await placementOf(ctx, name)
  return recordedObjects(row.objects).find(({ kind }) => kind === ref.kind)?.digest
}

/** Until the object is as it is wanted. Who does not follow the cluster looks again much later. */
async function repaired(name: string, ref: KubeRef): Promise<void> {
  await until(`${ref.kind} of ${name} is put right`, async () => {
    const there = await kube.get(ref)
    return there && digestOf(there) === (await intended(name, ref)) ? true : undefined
  })
}

async function events(action: string, name: string) {
  const rows = await ctx.db.read.auditEvent.findMany({ where: { action, subjectName: name } })
  return rows.map(({ changes }) => changes)
}

function watched() {
  return until('the cluster is watched', async () => {
    const { watch } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'sandbox' } })
    const mode = typeof watch === 'object' && watch && 'mode' in watch ? watch.mode : undefined
    return mode === 'watching' ? true : undefined
  })
}

test('what somebody removes is there again', async () => {
  const name = 'removed.shop.test'
  await put(ctx, name)
  await synced(name)
  await watched()
  for (const ref of Object.values(refsOf(name))) {
    await kube.remove(ref)
    await repaired(name, ref)
    await synced(name)
  }
  const told = await until('it is told', async () => {
    const all = await events('host.repaired', name)
    return all.length >= 3 ? all : undefined
  })
  assert.deepEqual(told[0], {
    cluster: 'sandbox',
    objects: [`Secret ${namespace}/${objectName(name)}`],
    removed: [`Secret ${namespace}/${objectName(name)}`],
    fields: [],
    managers: [],
  })
})

test('what somebody edits is taken back, and the trail names them', async () => {
  const name = 'edited.shop.test'
  await put(ctx, name)
  await synced(name)
  await watched()
  const { route, gateway } = refsOf(name)
  await others.merge(route, elsewhere)
  await repaired(name, route)
  await synced(name)
  await others.merge(gateway, { metadata: { annotations: { theirs: 'yes' } } })
  await others.merge(gateway, { spec: { selector: { istio: 'elsewhere' } } })
  await repaired(name, gateway)
  await synced(name)
  // What others add beside is theirs.
  assert.equal((await kube.get(gateway))?.metadata.annotations?.theirs, 'yes')
  const told = await until('it is told', async () => {
    const all = await events('host.repaired', name)
    return all.length >= 2 ? all : undefined
  })
  assert.deepEqual(told, [
    {
      cluster: 'sandbox',
      objects: [`VirtualService ${namespace}/${objectName(name)}`],
      removed: [],
      fields: ['spec.http'],
      managers: ['kubectl-edit'],
    },
    {
      cluster: 'sandbox',
      objects: [`Gateway ${namespace}/${objectName(name)}`],
      removed: [],
      fields: ['spec.selector.istio'],
      managers: ['kubectl-edit'],
    },
  ])
})

test('an object that lost our labels is still ours', async () => {
  const name = 'labels.shop.test'
  await put(ctx, name)
  await synced(name)
  await watched()
  const { secret, gateway } = refsOf(name)
  for (const ref of [secret, gateway]) {
    const labels = { 'gatesmith.dev/host-id': null, 'app.kubernetes.io/managed-by': null }
    await others.merge(ref, { metadata: { labels } })
    await repaired(name, ref)
    const there = await kube.get(ref)
    assert.equal(there?.metadata.labels?.['app.kubernetes.io/managed-by'], 'gatesmith')
    await synced(name)
  }
})

test('one that another installation has made in its place is not', async () => {
  const name = 'theirs.shop.test'
  await put(ctx, name)
  await synced(name)
  await watched()
  const { gateway } = refsOf(name)
  const there = await kube.get(gateway)
  assert.ok(there)
  const labels = { ...there.metadata.labels, 'gatesmith.dev/host-id': crypto.randomUUID() }
  const foreign: KubeObject = {
    ...kinds.istioGateway,
    metadata: { name: gateway.name, namespace, labels },
    spec: { ...there.spec },
  }
  await kube.apply(foreign, { force: true })
  const placement = await until('it is a conflict', async () => {
    const [one] = (await read(ctx, name)).status.clusters
    return one?.status === 'Conflict' ? one : undefined
  })
  assert.match(placement.message ?? '', /was not made for this host/)
  assert.equal(
    (await kube.get(gateway))?.metadata.labels?.['gatesmith.dev/host-id'],
    labels['gatesmith.dev/host-id'],
  )
})

test('two who fight for an object write ever more rarely, and the host says with whom', async () => {
  const name = 'fight.shop.test'
  await put(ctx, name)
  await synced(name)
  await watched()
  const { route } = refsOf(name)
  let times = 0
  const seen = new Map<number, number>()
  const message = await until('the host says so', async () => {
    const there = await kube.get(route)
    if (there && !JSON.stringify(there.spec).includes('elsewhere')) {
      await others.merge(route, elsewhere, 'argocd-controller')
      times++
    }
    const { row, shown } = await placementOf(ctx, name)
    const last = repairsIn(row.repairs).find(({ kind }) => kind === route.kind)
    if (last) seen.set(last.times, Date.parse(last.at))
    return shown.status === 'Conflict' && last && last.times >= 3 ? shown : undefined
  })
  assert.match(
    message.message ?? '',
    /VirtualService .* was changed by argocd-controller at .*spec\.http/,
  )
  assert.match(message.message ?? '', /changed again and again/)
  assert.deepEqual(message.drift, [
    {
      object: { kind: 'VirtualService', namespace, name: route.name },
      missing: false,
      fields: ['spec.http'],
      managers: message.drift[0]?.managers,
    },
  ])
  assert.equal(message.drift[0]?.managers[0]?.manager, 'argocd-controller')
  // At once, after 1 s, after 2 more.
  for (const [[n, at], [next, later]] of [...seen.entries()].map(
    (each, index, all) => [each, all[index + 1] ?? each] as const,
  )) {
    assert.ok(later - at >= 1000 * (2 ** (next - 1) - 2 ** (n - 1)), JSON.stringify([...seen]))
  }
  const told = await events('host.repaired', name)
  assert.ok(told.length >= 3 && told.length <= times, `${told.length} repairs of ${times}`)
  // When the other gives up, it is put right for good.
  await repaired(name, route)
  const healed = await synced(name)
  assert.deepEqual(healed.drift, [])
})

test('where drift is reported, nothing is overwritten until somebody says so', async () => {
  const name = 'report.shop.test'
  await put(ctx, name)
  await synced(name)
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { drift: 'report' } })
  await watched()
  const { route, secret } = refsOf(name)
  const edit = () => others.merge(route, elsewhere)
  const reported = () =>
    until('it is reported', async () => {
      const [placement] = (await read(ctx, name)).status.clusters
      return placement?.status === 'Conflict' ? placement : undefined
    })
  await edit()
  const placement = await reported()
  assert.match(
    placement.message ?? '',
    /was changed by kubectl-edit at .*: spec\.http\. The cluster is registered with drift: report/,
  )
  assert.deepEqual(
    placement.drift.map(({ object, fields }) => [object.kind, fields]),
    [['VirtualService', ['spec.http']]],
  )
  assert.match(JSON.stringify((await kube.get(route))?.spec), /elsewhere/)
  assert.equal((await events('host.repaired', name)).length, 0)
  assert.equal((await events('host.drifted', name)).length, 1)
  // The same words as before are enough to have it back.
  await put(ctx, name)
  await repaired(name, route)
  assert.deepEqual((await synced(name)).drift, [])
  await kube.remove(secret)
  const gone = await reported()
  assert.match(gone.message ?? '', /Secret .* was removed/)
  await syncCluster(ctx, admin, 'sandbox')
  await repaired(name, secret)
  await synced(name)
  await edit()
  await reported()
  // What is asked for anew is delivered.
  await put(ctx, name, { http: 'off' })
  await repaired(name, route)
  assert.deepEqual((await synced(name)).drift, [])
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { drift: 'repair' } })
})
