import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { parse } from 'yaml'
import { createAuthority } from '../../src/authorities/create.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../src/certificates/revocation/revoke.ts'
import { checkClusterNow } from '../../src/clusters/check.ts'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { changeCluster, createCluster } from '../../src/clusters/register.ts'
import { featuresWith } from '../../src/clusters/rights/table.ts'
import { planHost } from '../../src/delivery/preview/hostplan.ts'
import { probeHost } from '../../src/delivery/proof/probe.ts'
import { getHost } from '../../src/hosts/find.ts'
import type { HostSpec } from '../../src/hosts/host.ts'
import { putHost } from '../../src/hosts/put.ts'
import { removeHost } from '../../src/hosts/remove.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openAccount } from '../support/account.ts'
import { admin, openTestContext } from '../support/context.ts'

// Hosts by the Gateway API on a real API server, istiod and Envoy. GATESMITH_TEST_ADMIN_KUBECONFIG may give rights: a
// service account in istio-system gets what `gatesmith rbac --gateway-api` prints. The workloads of
// examples/workloads.yaml are there.

const { GATESMITH_RIG_KUBECONFIG: rig, GATESMITH_TEST_ADMIN_KUBECONFIG: ruler } = process.env
const skip =
  (rig === undefined || ruler === undefined) && 'no kubeconfigs of a real cluster are named'
const address = process.env.GATESMITH_TEST_INGRESS ?? '127.0.0.1:4443'
const plainAddress = address.replace(/:\d+$/, `:${process.env.GATESMITH_TEST_PLAIN_PORT ?? '4480'}`)
const httpbin = { service: 'httpbin', namespace: 'test', port: 80 }

test('hosts are served by the Gateway API, with the rights that are printed', {
  skip,
}, async (t) => {
  const text = await readFile(ruler ?? '', 'utf8')
  const root = connect(text)
  after(() => root.close())
  const api = 'gateway-api'
  const account = await openAccount(root, {
    ...{ name: 'gatesmith-gatewayapi', api, features: featuresWith({}) },
    places: {
      ...{ ingress: ['istio-system'], workload: ['test'], backend: ['test'] },
      ...{ backendTls: [], restart: [], configMap: [], mesh: ['istio-system'] },
    },
  })
  const ctx = await openTestContext()
  const ingress = { address, plainAddress }
  const server: string = parse(text).clusters[0].cluster.server
  await createCluster(ctx, admin, { name: 'real', server, ...account, api, ingress })
  const checked = await checkClusterNow(ctx, admin, 'real')
  assert.deepEqual([checked.status, checked.message, checked.api], ['Ready', null, 'gateway-api'])
  const common = { kind: 'root', subject: { commonName: 'r' } } as const
  await createAuthority(ctx, admin, { ...common, name: 'house' })
  const tenant = { name: 'shop', domains: ['gwapi.test'], namespaces: ['test'] }
  await createTenant(ctx, admin, { ...tenant, defaultAuthority: 'house' })
  await createAuthority(ctx, admin, { ...common, name: 'own', tenant: 'shop' })
  const worker = await startWorker(ctx, 4)

  const put = (name: string, spec: Partial<HostSpec> = {}) =>
    putHost(ctx, admin, {
      tenant: 'shop',
      name,
      spec: { routes: [{ to: httpbin }], clusters: ['real'], ...spec },
    })
  const placement = async (name: string) =>
    (await getHost(ctx, admin, { tenant: 'shop', name })).status.clusters[0]
  const synced = async (name: string) => {
    await until(
      name,
      async () => (await placement(name))?.status === 'Synced',
      async () => JSON.stringify(await placement(name)),
    )
  }
  const status = async (name: string, path: string, clientCertificate?: string) => {
    const asked = { path, ...(clientCertificate === undefined ? {} : { clientCertificate }) }
    const { results } = await probeHost(ctx, admin, { tenant: 'shop', name, asked })
    return results[0]?.http?.status ?? null
  }

  await t.test('SIMPLE, with routes of every kind, a redirect and an alias', async () => {
    const many = Array.from({ length: 18 }, (_, at) => ({
      match: { exact: `/many/${at}` },
      redirect: { path: `/status/418`, code: 307 } as const,
    }))
    await put('simple.gwapi.test', {
      aliases: ['alias.gwapi.test'],
      routes: [
        { to: httpbin },
        ...many,
        {
          match: {
            prefix: '/teapot',
            methods: ['GET'],
            headers: [{ name: 'user-agent', present: true }],
          },
          to: [
            { ...httpbin, weight: 3 },
            { ...httpbin, service: 'helloworld', port: 5000, weight: 0 },
          ],
          rewrite: { path: '/status/418' },
          timeout: '15s',
        },
        { match: { prefix: '/teapot' }, to: httpbin, rewrite: { path: '/status/404' } },
        {
          match: { exact: '/pages' },
          to: httpbin,
          rewrite: { path: '/status/418' },
          requestHeaders: { set: [{ name: 'x-env', value: '100%' }] },
          responseHeaders: { add: [{ name: 'x-seen', value: '1' }] },
          cors: {
            allowOrigins: [{ exact: 'https://a.gwapi.test' }],
            allowMethods: ['GET'],
            maxAge: '10m',
          },
        },
      ],
    })
    await synced('simple.gwapi.test')
    assert.equal(await status('simple.gwapi.test', '/status/418'), 418)
    assert.equal(await status('simple.gwapi.test', '/pages'), 418)
    assert.equal(await status('simple.gwapi.test', '/many/17'), 307)
    const objects = (await placement('simple.gwapi.test'))?.objects ?? []
    assert.deepEqual([...new Set(objects.map(({ kind }) => kind))].toSorted(), [
      ...['Gateway', 'HTTPRoute', 'ReferenceGrant', 'Secret'],
    ])
    const plain = await fetch(`http://${plainAddress}/`, { redirect: 'manual' }).catch(() => null)
    assert.ok(plain === null || plain.status === 404, 'no other name is served')
    // A second look finds all as it is to be, defaults of the API server among it.
    const plan = await planHost(ctx, admin, {
      tenant: 'shop',
      name: 'simple.gwapi.test',
      asked: {},
    })
    assert.deepEqual([...new Set(plan.clusters[0]?.changes.map(({ action }) => action))], ['keep'])
  })

  await t.test('MUTUAL, with a list that is heard of', async () => {
    const asked = {
      profile: 'client',
      authority: 'own',
      subject: { commonName: 'c.gwapi.test' },
    } as const
    await put('mutual.gwapi.test', { tls: { mode: 'MUTUAL', clientAuthority: 'own' } })
    await synced('mutual.gwapi.test')
    const client = () =>
      issueCertificate(ctx, admin, { tenant: 'shop', request: asked, idempotencyKey: undefined })
    const [good, gone] = [await client(), await client()]
    for (const { id } of [good, gone]) {
      assert.equal(await status('mutual.gwapi.test', '/status/418', id), 418)
    }
    await revokeCertificate(ctx, admin, { tenant: 'shop', id: gone.id, reason: 'keyCompromise' })
    const begun = performance.now()
    await until('refused', async () => {
      return (await status('mutual.gwapi.test', '/status/418', gone.id)) !== 418
    })
    t.diagnostic(`refused ${Math.round(performance.now() - begun)} ms after it was revoked`)
    assert.equal(await status('mutual.gwapi.test', '/status/418', good.id), 418)
    // A SIMPLE host on the same port asks nobody.
    assert.equal(await status('simple.gwapi.test', '/status/418'), 418)
  })

  await t.test('PASSTHROUGH by a TLSRoute', async () => {
    const to = { service: 'nginx-service', namespace: 'test', port: 443 }
    const certificate = { secretName: 'nginx-server-certs' }
    await put('through.gwapi.test', { tls: { mode: 'PASSTHROUGH' }, routes: [{ to }], certificate })
    await synced('through.gwapi.test')
    const objects = (await placement('through.gwapi.test'))?.objects ?? []
    assert.ok(objects.some(({ kind }) => kind === 'TLSRoute'))
  })

  await t.test('what a Gateway says of itself is told', async () => {
    await put('taken.gwapi.test', { routes: [{ to: { ...httpbin, service: 'nobody' } }] })
    await synced('taken.gwapi.test')
    const ref = (await placement('taken.gwapi.test'))?.objects.find(
      ({ kind }) => kind === 'Gateway',
    )
    assert.ok(ref)
    const theirs = {
      ...kinds.gateway,
      metadata: { name: 'theirs', namespace: 'istio-system' },
      spec: {
        gatewayClassName: 'istio',
        addresses: [{ type: 'Hostname', value: 'istio-ingressgateway' }],
        listeners: [
          {
            name: 'a',
            hostname: 'late.gwapi.test',
            port: 443,
            protocol: 'HTTPS',
            tls: { certificateRefs: [{ name: ref.name }] },
          },
        ],
      },
    }
    await root.apply(theirs)
    t.after(() => root.remove({ ...kinds.gateway, namespace: 'istio-system', name: 'theirs' }))
    await put('late.gwapi.test')
    await until(
      'a conflict',
      async () => (await placement('late.gwapi.test'))?.status === 'Conflict',
    )
    assert.match(
      (await placement('late.gwapi.test'))?.message ?? '',
      /Gateway istio-system\/theirs/,
    )
    await root.remove({ ...kinds.gateway, namespace: 'istio-system', name: 'theirs' })
    await synced('late.gwapi.test')
  })

  await t.test('what is removed by hand comes back', async () => {
    const objects = (await placement('simple.gwapi.test'))?.objects ?? []
    const ref = objects.find(({ kind }) => kind === 'HTTPRoute')
    assert.ok(ref)
    await root.remove({ ...kinds.httpRoute, namespace: ref.namespace, name: ref.name })
    const at = { ...kinds.httpRoute, namespace: ref.namespace, name: ref.name }
    await until('it is there again', async () => (await root.get(at)) !== undefined)
  })

  await t.test('what cannot be said is refused, and the cluster stays as it is', async () => {
    await assert.rejects(put('no.gwapi.test', { tls: { mode: 'MUTUAL' } }), {
      type: 'host-refused',
    })
    const changed = changeCluster(ctx, admin, { name: 'real', patch: { api: 'istio' } })
    await assert.rejects(changed, { type: 'cluster-in-use', message: /api of cluster "real"/ })
  })

  await t.test('hosts that are removed leave nothing', async () => {
    const names = ['simple', 'mutual', 'through', 'taken', 'late'].map(
      (each) => `${each}.gwapi.test`,
    )
    for (const name of names) await removeHost(ctx, admin, { tenant: 'shop', name })
    await until(
      'all are gone',
      async () => (await ctx.db.read.placement.count()) === 0,
      async () =>
        JSON.stringify(
          await ctx.db.read.placement.findMany({ select: { name: true, message: true } }),
        ),
    )
    const labelSelector = 'app.kubernetes.io/managed-by=gatesmith'
    for (const kind of [kinds.gateway, kinds.httpRoute, kinds.tlsRoute, kinds.referenceGrant]) {
      const left = await root.list(kind, { labelSelector })
      assert.deepEqual(
        left.map(({ metadata }) => metadata.name),
        [],
        kind.kind,
      )
    }
  })
  await worker.stop()
})

async function until(
  what: string,
  holds: () => Promise<boolean>,
  told: () => Promise<string> = async () => '',
): Promise<void> {
  const end = performance.now() + 150_000
  while (!(await holds())) {
    if (performance.now() > end) assert.fail(`${what}: it does not come about. ${await told()}`)
    await wait(200)
  }
}
