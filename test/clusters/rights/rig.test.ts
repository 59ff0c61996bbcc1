import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { parse } from 'yaml'
import { createAuthority } from '../../../src/authorities/create.ts'
import { checkClusterNow } from '../../../src/clusters/check.ts'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { type Feature, featuresWith } from '../../../src/clusters/rights/table.ts'
import { getHost } from '../../../src/hosts/find.ts'
import type { HostSpec } from '../../../src/hosts/host.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { removeHost } from '../../../src/hosts/remove.ts'
import { startWorker } from '../../../src/jobs/worker.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openAccount } from '../../support/account.ts'
import { admin, openTestContext } from '../../support/context.ts'

// A real API server, istiod and Envoy: service accounts are made of what `gatesmith rbac` prints, and hosts are
// delivered with these rights and no others. KUBECONFIG is the administrator's.

const { GATESMITH_RIG_KUBECONFIG: own, KUBECONFIG: ruler } = process.env
const skip = (own === undefined || ruler === undefined) && 'GATESMITH_RIG_KUBECONFIG names no rig'
const address = '127.0.0.1:4443'
const httpbin = { service: 'httpbin', namespace: 'test', port: 80 }
const nginx = { service: 'nginx-service', namespace: 'test', port: 443 }
const places = {
  ...{ ingress: ['istio-system'], backendTls: ['istio-system'], mesh: ['istio-system'] },
  ...{ workload: ['test'], backend: [], restart: [], configMap: [] },
}

test('hosts are delivered with the rights that are printed, and what is missing is named', {
  skip,
}, async (t) => {
  const text = await readFile(ruler ?? '', 'utf8')
  const root = connect(text)
  after(() => root.close())
  const server: string = parse(text).clusters[0].cluster.server

  const account = async (name: string, features: readonly Feature[]) => ({
    server,
    ...(await openAccount(root, { name, api: 'istio', features, places })),
  })

  const ctx = await openTestContext()
  const all = featuresWith({ listeners: true, meshTls: true })
  const credentials = await account('gatesmith-printed', all)
  await createCluster(ctx, admin, { name: 'rig', ...credentials, ingress: { address } })
  const common = { kind: 'root', subject: { commonName: 'r' } } as const
  await createAuthority(ctx, admin, { ...common, name: 'house' })
  const tenant = { name: 'shop', domains: ['rights.test'], namespaces: ['test'] }
  await createTenant(ctx, admin, { ...tenant, defaultAuthority: 'house' })
  await createAuthority(ctx, admin, { ...common, name: 'own', tenant: 'shop' })

  const put = (name: string, spec: Partial<HostSpec>) =>
    putHost(ctx, admin, {
      tenant: 'shop',
      name,
      spec: { routes: [{ to: httpbin }], clusters: ['rig'], ...spec },
    })
  const placement = async (name: string) =>
    (await getHost(ctx, admin, { tenant: 'shop', name })).status.clusters[0]
  const until = async (what: string, holds: () => Promise<boolean>, told = async () => '') => {
    const end = performance.now() + 120_000
    while (!(await holds())) {
      if (performance.now() > end) assert.fail(`${what}: it does not come about. ${await told()}`)
      await pause(200)
    }
  }
  const synced = (name: string) =>
    until(
      name,
      async () => (await placement(name))?.status === 'Synced',
      async () => JSON.stringify(await placement(name)),
    )
  const bad = (checks: Awaited<ReturnType<typeof checkClusterNow>>['checks']) =>
    checks
      .filter(({ status }) => status !== 'ok')
      .map(({ item, subject, status }) => `${status} ${item} ${subject ?? ''}`.trim())

  const worker = await startWorker(ctx, 4)

  await t.test('a check finds all that is asked for', async () => {
    const { status, checks, found } = await checkClusterNow(ctx, admin, 'rig')
    assert.equal(status, 'Ready', JSON.stringify(checks))
    // Nothing on the rig says which version its istiod has.
    assert.deepEqual(bad(checks), ['unknown istio'])
    assert.ok(found?.uid)
    assert.ok(found?.gatewayApiVersion)
    assert.deepEqual(
      found?.ingresses.map(({ pods, services }) => [pods.length, services.length]),
      [[1, 1]],
    )
  })

  const hosts: readonly (readonly [string, Partial<HostSpec>])[] = [
    ['simple.rights.test', {}],
    ['mutual.rights.test', { tls: { mode: 'MUTUAL', clientAuthority: 'own' } }],
    ['raw.rights.test', { tls: { mode: 'PASSTHROUGH' }, routes: [{ to: nginx }] }],
    [
      'secured.rights.test',
      { routes: [{ to: { ...nginx, tls: { mode: 'SIMPLE', sni: 'nginx.test' } } }] },
    ],
  ]

  await t.test('every mode is served', async () => {
    for (const [name, spec] of hosts) await put(name, spec)
    for (const [name] of hosts) await synced(name)
    const { checks } = await checkClusterNow(ctx, admin, 'rig')
    assert.deepEqual(bad(checks), ['unknown istio'])
  })

  await t.test('what somebody takes away is put back', async () => {
    const objects = (await placement('simple.rights.test'))?.objects ?? []
    const gateway = objects.find(({ kind }) => kind === 'Gateway')
    assert.ok(gateway)
    const ref = { ...kinds.istioGateway, namespace: gateway.namespace, name: gateway.name }
    await root.remove(ref)
    await until('the Gateway is back', async () => (await root.get(ref)) !== undefined)
  })

  await t.test(
    'a kind that is not served any more is named, for the cluster and its hosts',
    async () => {
      const crd = {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        namespace: '',
        name: 'virtualservices.networking.istio.io',
      }
      const definition = await root.get(crd)
      assert.ok(definition?.spec)
      const { apiVersion, kind, metadata, spec } = definition
      const { name, labels = {}, annotations = {} } = metadata
      await root.remove(crd)
      const says = /The cluster does not serve networking\.istio\.io\/v1 VirtualService/
      try {
        const ask = async () => (await checkClusterNow(ctx, admin, 'rig')).message ?? ''
        await until('the check fails', async () => says.test(await ask()), ask)
        await put('late.rights.test', {})
        const told = async () => (await placement('late.rights.test'))?.message ?? ''
        await until('the host says so', async () => says.test(await told()), told)
      } finally {
        await root.apply({ apiVersion, kind, metadata: { name, labels, annotations }, spec })
      }
      const status = async () => (await checkClusterNow(ctx, admin, 'rig')).status
      await until('the cluster is Ready', async () => (await status()) === 'Ready')
      await synced('late.rights.test')
      await synced('simple.rights.test')
    },
  )

  await t.test(
    'with less, a check names what is missing, and fails where a host needs it',
    async () => {
      const few = await account('gatesmith-few', ['delivery'])
      // It is the cluster of before, which nobody may tell without a right to look.
      await createCluster(ctx, admin, { name: 'few', ...few, ingress: { address } })
      const first = await checkClusterNow(ctx, admin, 'few')
      assert.equal(first.status, 'Ready')
      assert.deepEqual(bad(first.checks), [
        'unknown gateway-api',
        'unknown istio',
        'unknown gateway-secrets default',
        'warning rights watches',
        'warning rights checks',
        'warning rights listeners',
        'warning rights TLS of the mesh',
        'warning rights objects of others',
        'unknown identity',
      ])
      await put('few.rights.test', {
        ...{ tls: { mode: 'PASSTHROUGH' }, routes: [{ to: nginx }], clusters: ['few'] },
      })
      const { status, message } = await checkClusterNow(ctx, admin, 'few')
      assert.equal(status, 'Failed')
      assert.match(message ?? '', /do not allow: get, list, create, patch, delete secrets in test/)
      const told = async () => (await placement('few.rights.test'))?.message ?? ''
      await until('the host says so', async () => /secrets .*forbidden/.test(await told()), told)
    },
  )

  await t.test('all of it is taken away again', async () => {
    const names = [...hosts.map(([name]) => name), 'late.rights.test', 'few.rights.test']
    for (const name of names) await removeHost(ctx, admin, { tenant: 'shop', name })
    const left = () => ctx.db.read.host.findMany({ where: { name: { in: names } } })
    await until(
      'nothing is left',
      async () => (await left()).filter(({ name }) => !name.startsWith('few')).length === 0,
    )
    const labelSelector = 'app.kubernetes.io/managed-by=gatesmith'
    for (const kind of [kinds.secret, kinds.istioGateway, kinds.istioVirtualService]) {
      assert.deepEqual(await root.list(kind, { labelSelector }), [])
    }
  })
  await worker.stop()
})
