import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { changeCluster } from '../../../src/clusters/register.ts'
import { planHost } from '../../../src/delivery/preview/hostplan.ts'
import { admin } from '../../support/context.ts'
import { openStage, put, work } from '../support.ts'

const { ctx, sandbox, kube } = await openStage()
const { address: far } = await openStage()
// The sandbox has one ingress pod, found by either of its labels.
await changeCluster(ctx, admin, {
  name: 'sandbox',
  patch: {
    ingresses: {
      internal: {
        selector: { app: 'istio-ingressgateway' },
        address: `localhost:${sandbox.tlsPort}`,
      },
      // Nothing serves its hosts there.
      far: { selector: { istio: 'far' }, address: far },
    },
  },
})
const both = ['sandbox', 'sandbox/internal']
const ours = 'app.kubernetes.io/managed-by=gatesmith'

async function gateways() {
  const found = await kube.list(kinds.istioGateway, { labelSelector: ours })
  return found.map(({ metadata: { name }, spec }) => ({ name, selector: spec?.selector }))
}

test('a host on two ingresses of a cluster has its own objects on each', async () => {
  await put(ctx, 'www.shop.test', { clusters: both })
  const { clusters } = (await work(ctx, 'www.shop.test')).status
  assert.deepEqual(
    clusters.map(({ ingress, status }) => [ingress, status]),
    [
      ['default', 'Synced'],
      ['internal', 'Synced'],
    ],
  )
  const [first, second] = clusters.map(({ objects }) => objects.map(({ name }) => name))
  assert.ok(first && second && first.every((name) => !second.includes(name)))
  assert.deepEqual(
    new Set((await gateways()).map(({ selector }) => JSON.stringify(selector))),
    new Set(['{"istio":"ingressgateway"}', '{"app":"istio-ingressgateway"}']),
  )
  const asked = { tenant: 'shop', name: 'www.shop.test', asked: {} }
  const plan = await planHost(ctx, admin, asked)
  assert.deepEqual(
    plan.clusters.map(({ ingress, changes }) => [ingress, ...changes.map(({ action }) => action)]),
    [
      ['default', 'keep', 'keep', 'keep'],
      ['internal', 'keep', 'keep', 'keep'],
    ],
  )
})

test('the Secret of a backend stays as long as one ingress leads to it', async () => {
  const name = 'raw.shop.test'
  const route = { to: { service: 'nginx-service', namespace: 'test', port: 443 } }
  const spec = { tls: { mode: 'PASSTHROUGH' }, http: 'off', routes: [route] } as const
  const asked = { ...spec, routes: [...spec.routes] }
  await put(ctx, name, { ...asked, clusters: ['sandbox', 'sandbox/far'] })
  const { clusters } = (await work(ctx, name)).status
  const secrets = clusters.map(({ objects }) => objects.find(({ kind }) => kind === 'Secret'))
  assert.deepEqual(secrets[0], secrets[1])
  const [secret] = secrets
  assert.ok(secret)
  await put(ctx, name, { ...asked, clusters: ['sandbox'] })
  assert.deepEqual(
    (await work(ctx, name)).status.clusters.map(({ ingress }) => ingress),
    ['default'],
  )
  assert.ok(await kube.get({ ...kinds.secret, namespace: 'test', name: secret.name }))
})
