import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startCluster } from '../../sandbox/cluster.ts'
import { checkCluster, checkClusterNow } from '../../src/clusters/check.ts'
import { getCluster, listClusters } from '../../src/clusters/find.ts'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { KubeError, type KubeFault, type KubeObject } from '../../src/clusters/kubernetes/kube.ts'
import { credentialBinding, openCluster } from '../../src/clusters/kubernetes/open.ts'
import { changeCluster, createCluster, removeCluster } from '../../src/clusters/register.ts'
import { syncCluster } from '../../src/clusters/sync.ts'
import { newId } from '../../src/core/context.ts'
import { bytes, sql } from '../../src/core/database/db.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { admin, openTestContext } from '../support/context.ts'
import { fieldsOf, isProblem } from '../support/problem.ts'

const directory = await mkdtemp(join(tmpdir(), 'gatesmith-clusters-'))
const sandbox = await startCluster({
  directory,
  host: '127.0.0.1',
  apiPort: 0,
  tlsPort: 0,
  plainPort: 0,
})
after(async () => {
  await sandbox.stop()
  await rm(directory, { recursive: true })
})
const ctx = await openTestContext()
const { kubeconfig } = sandbox
const ingress = { address: `127.0.0.1:${sandbox.tlsPort}` }

const isFault = (fault: KubeFault) => (error: unknown) =>
  error instanceof KubeError && error.fault === fault

const secret = (name: string, namespace = 'istio-system'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace, labels: { own: name } },
  type: 'Opaque',
  data: { a: 'YQ==' },
})

test('a cluster is registered with sealed credentials, checked, changed and removed', async () => {
  const made = await createCluster(ctx, admin, { name: 'one', kubeconfig, ingress })
  assert.equal(made.status, 'Unknown')
  assert.equal(made.server, sandbox.apiUrl)
  assert.deepEqual(made.ingress, {
    namespace: 'istio-system',
    selector: { istio: 'ingressgateway' },
    ...ingress,
  })
  const token = /token: "?([\w-]+)/.exec(kubeconfig)?.[1] ?? ''
  assert.ok(token.length > 20)
  const stored = await ctx.db.read.clusterCredential.findMany()
  assert.ok(!Buffer.from(stored[0]?.sealed ?? []).includes(token))
  await assert.rejects(
    createCluster(ctx, admin, { name: 'one', kubeconfig, ingress }),
    isProblem('cluster-exists'),
  )
  const checked = await checkClusterNow(ctx, admin, 'one')
  assert.equal(checked.message, null)
  assert.equal(checked.status, 'Ready')
  assert.match(checked.kubernetesVersion ?? '', /^v1\./)
  const elsewhere = { ...ingress, selector: { istio: 'other' } }
  await changeCluster(ctx, admin, { name: 'one', patch: { ingress: elsewhere } })
  const failed = await checkClusterNow(ctx, admin, 'one')
  assert.equal(failed.status, 'Failed')
  assert.match(failed.message ?? '', /istio=other/)
  await removeCluster(ctx, admin, 'one')
  await assert.rejects(getCluster(ctx, admin, 'one'), isProblem('cluster-unknown'))
  const events = await ctx.db.read.auditEvent.findMany({ orderBy: { seq: 'asc' } })
  assert.deepEqual(
    events.map(({ action }) => action),
    ['cluster.created', 'cluster.changed', 'cluster.removed'],
  )
  assert.ok(!JSON.stringify(events, (_, value) => String(value)).includes(token))
})

test('a cluster that is away is Failed, and says so', async () => {
  const away = kubeconfig.replace(sandbox.apiUrl, 'https://127.0.0.1:1')
  await createCluster(ctx, admin, { name: 'away', kubeconfig: away, ingress })
  const row = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'away' } })
  await checkCluster(ctx, { clusterId: row.id })
  const found = await getCluster(ctx, admin, 'away')
  assert.equal(found.status, 'Failed')
  assert.match(found.message ?? '', /cannot be reached: ECONNREFUSED/)
})

test('credentials that the cluster does not know are Failed', async () => {
  const wrong = kubeconfig.replace(/token: .*/, 'token: wrong')
  await createCluster(ctx, admin, { name: 'wrong', kubeconfig: wrong, ingress })
  assert.equal((await checkClusterNow(ctx, admin, 'wrong')).status, 'Failed')
})

test('a kubeconfig that could never work is refused when it is registered, and when it is changed', async () => {
  const rancher = kubeconfig.replace(/token: .*/, 'token: kubeconfig-user-x7k2p:9zq8w7x6')
  await createCluster(ctx, admin, { name: 'rancher', kubeconfig: rancher, ingress })
  const sealed = await ctx.db.read.clusterCredential.findFirstOrThrow({
    where: { cluster: { name: 'rancher' } },
  })
  const bad = [
    kubeconfig.replace('https://', 'HTTPS://'),
    kubeconfig.replace(/token: .*/, 'token: "a b"'),
    `${kubeconfig}\n---\n${kubeconfig}`,
  ]
  for (const text of bad) {
    const made = createCluster(ctx, admin, { name: 'never', kubeconfig: text, ingress })
    assert.deepEqual(await fieldsOf('kubeconfig-refused', made), ['/kubeconfig'])
    const changed = changeCluster(ctx, admin, { name: 'rancher', patch: { kubeconfig: text } })
    assert.deepEqual(await fieldsOf('kubeconfig-refused', changed), ['/kubeconfig'])
  }
  const { clusterId } = sealed
  assert.deepEqual(
    await ctx.db.read.clusterCredential.findUniqueOrThrow({ where: { clusterId } }),
    sealed,
  )
  await assert.rejects(getCluster(ctx, admin, 'never'), isProblem('cluster-unknown'))
})

test('a kubeconfig that would run a program is refused and nothing is stored', async () => {
  const program = kubeconfig.replace(/token: .*/, 'exec: { command: sh }')
  await assert.rejects(
    createCluster(ctx, admin, { name: 'bad', kubeconfig: program, ingress }),
    isProblem('kubeconfig-refused'),
  )
  await assert.rejects(
    createCluster(ctx, admin, { name: 'bad', kubeconfig, ingress: { address: 'a.test:70000' } }),
    isProblem('request-invalid'),
  )
  await assert.rejects(getCluster(ctx, admin, 'bad'), isProblem('cluster-unknown'))
})

test('a tenant sees clusters but not where their API is, and writes none', async () => {
  await createCluster(ctx, admin, { name: 'shared', kubeconfig, ingress })
  const tenant = { ...admin, tenantId: '00000000-0000-7000-8000-000000000000' }
  assert.equal((await getCluster(ctx, tenant, 'shared')).server, null)
  const names = (await listClusters(ctx, tenant, {})).items.map(({ name }) => name)
  assert.ok(names.includes('shared'))
  await assert.rejects(removeCluster(ctx, tenant, 'shared'), isProblem('forbidden'))
})

test('a connection is kept until the credentials change', async () => {
  await createCluster(ctx, admin, { name: 'kept', kubeconfig, ingress })
  const { id } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'kept' } })
  const first = await openCluster(ctx, id)
  assert.equal(await openCluster(ctx, id), first)
  await changeCluster(ctx, admin, { name: 'kept', patch: { kubeconfig } })
  const second = await openCluster(ctx, id)
  assert.notEqual(second, first)
  assert.match(await second.version(), /^v1\./)
  await removeCluster(ctx, admin, 'kept')
  await assert.rejects(openCluster(ctx, id), isProblem('cluster-unknown'))
})

test('objects are applied, read, listed page by page and removed', async () => {
  const kube = connect(kubeconfig)
  after(() => kube.close())
  const ref = { ...kinds.secret, namespace: 'istio-system', name: 'kept-1' }
  assert.deepEqual(await kube.apply(secret('kept-1'), { dryRun: true }), [])
  assert.equal(await kube.get(ref), undefined)
  await kube.apply(secret('kept-1'))
  const object = await kube.get(ref)
  assert.deepEqual(object?.data, { a: 'YQ==' })
  assert.equal(object?.kind, 'Secret')
  for (let n = 0; n < 260; n++) await kube.apply(secret(`many-${n}`))
  const listed = await kube.list(kinds.secret, { namespace: 'istio-system' })
  assert.equal(listed.filter(({ metadata }) => metadata.name.startsWith('many-')).length, 260)
  const one = await kube.list(kinds.secret, {
    namespace: 'istio-system',
    labelSelector: 'own=many-7',
  })
  assert.equal(one.length, 1)
  assert.equal(one[0]?.kind, 'Secret')
  await kube.remove(ref)
  await kube.remove(ref)
  assert.equal(await kube.get(ref), undefined)
})

test('what a cluster refuses is one of a few faults', async () => {
  const kube = connect(kubeconfig)
  after(() => kube.close())
  await assert.rejects(kube.apply(secret('x', 'nowhere')), isFault('not-found'))
  await assert.rejects(
    kube.apply({ ...secret('x'), data: { a: 'no base64!' } }),
    isFault('invalid'),
  )
  const unknown = { ...secret('x'), apiVersion: 'none.test/v1', kind: 'Thing' }
  await assert.rejects(kube.apply(unknown), isFault('unsupported'))
  const stranger = connect(kubeconfig.replace(/token: .*/, 'token: wrong'))
  after(() => stranger.close())
  await assert.rejects(stranger.list(kinds.istioGateway), isFault('unauthorized'))
  const away = connect(kubeconfig.replace(sandbox.apiUrl, 'https://127.0.0.1:1'))
  await assert.rejects(away.version(), isFault('unreachable'))
})

test('what waited for a cluster is due as soon as the cluster is back', async () => {
  const away = kubeconfig.replace(sandbox.apiUrl, 'https://127.0.0.1:1')
  await createCluster(ctx, admin, { name: 'back', kubeconfig: away, ingress })
  const { id: clusterId } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'back' } })
  await checkCluster(ctx, { clusterId })
  await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
  const tenant = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'shop' } })
  const now = ctx.now()
  const host = { id: newId(now), tenantId: tenant.id, name: 'www.shop.test' }
  await ctx.db.transaction(async (tx) => {
    await tx.host.create({
      data: { ...host, spec: {}, generation: 1, createdAt: now, updatedAt: now },
    })
    await tx.placement.create({
      data: {
        id: newId(now),
        tenantId: tenant.id,
        hostId: host.id,
        clusterId,
        name: host.name,
        wanted: true,
        status: 'Failed',
        since: now,
      },
    })
  })
  const jobs = () =>
    ctx.db.read.$queryRaw<{ key: string }[]>(
      sql`select key from graphile_worker.jobs where key like 'placement.push/%'`,
    )
  assert.equal((await jobs()).length, 0)
  const sealed = bytes(ctx.seal.seal(credentialBinding(clusterId), Buffer.from(kubeconfig)))
  await ctx.db.transaction((tx) =>
    tx.clusterCredential.update({ where: { clusterId }, data: { sealed } }),
  )
  await checkCluster(ctx, { clusterId })
  assert.equal((await jobs()).length, 1)
  assert.deepEqual(await syncCluster(ctx, admin, 'back'), { placements: 1 })
  await assert.rejects(removeCluster(ctx, admin, 'back'), isProblem('cluster-in-use'))
})
