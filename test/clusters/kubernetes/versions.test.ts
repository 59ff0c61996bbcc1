import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkClusterNow } from '../../../src/clusters/check.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { planHost } from '../../../src/delivery/preview/hostplan.ts'
import { openStage, put, work } from '../../delivery/support.ts'
import { admin } from '../../support/context.ts'

const { ctx, kube } = await openStage()

/** From here on the cluster serves these versions of the kind. */
async function serve(name: string, served: readonly string[]): Promise<void> {
  const crd = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }
  const spec = (await kube.get({ ...crd, namespace: '', name }))?.spec
  assert.ok(spec && Array.isArray(spec.versions))
  const versions = spec.versions.map((each) => ({ ...each, served: served.includes(each.name) }))
  await kube.apply({ ...crd, metadata: { name }, spec: { ...spec, versions } }, { force: true })
}

const names = ['gateways', 'virtualservices', 'destinationrules']
for (const name of names) await serve(`${name}.networking.istio.io`, ['v1beta1'])

const metadata = { namespace: 'istio-system', name: 'g' }
const ref = { ...kinds.istioGateway, ...metadata }
const port = { number: 80, name: 'http', protocol: 'HTTP' }
const spec = { selector: { istio: 'other' }, servers: [{ port, hosts: ['a.test'] }] }
const gateway = { ...kinds.istioGateway, metadata, spec }

test('where only v1beta1 is served, that is spoken, and what is answered is as it was asked for', async () => {
  const abort = new AbortController()
  let from = ''
  for await (const { resourceVersion } of kube.pages(kinds.istioGateway)) from = resourceVersion
  const events = await kube.watch(kinds.istioGateway, {
    resourceVersion: from,
    signal: abort.signal,
  })
  const rehearsed = await kube.rehearse(gateway)
  assert.equal(rehearsed.object.apiVersion, ref.apiVersion)
  await kube.apply(gateway)
  assert.equal((await kube.get(ref))?.apiVersion, ref.apiVersion)
  assert.deepEqual(
    (await kube.list(kinds.istioGateway)).map(({ apiVersion }) => apiVersion),
    [ref.apiVersion],
  )
  for await (const { type, object } of events) {
    assert.deepEqual([type, object?.apiVersion], ['ADDED', ref.apiVersion])
    break
  }
  abort.abort()
  await kube.remove(ref)
  assert.equal(await kube.get(ref), undefined)
})

test('hosts are served there, and a check says which version is spoken', async () => {
  await put(ctx, 'old.shop.test')
  const [placement] = (await work(ctx, 'old.shop.test')).status.clusters
  assert.equal(placement?.status, 'Synced', placement?.message ?? '')
  const asked = { tenant: 'shop', name: 'old.shop.test', asked: {} }
  const { clusters } = await planHost(ctx, admin, asked)
  assert.deepEqual(
    clusters.flatMap(({ changes }) => changes.map(({ action }) => action)),
    ['keep', 'keep', 'keep'],
  )
  const { status, checks } = await checkClusterNow(ctx, admin, 'sandbox')
  assert.equal(status, 'Ready')
  const said = checks.filter((each) => each.item === 'kinds')
  assert.deepEqual([...new Set(said.map((each) => each.status))], ['warning'])
  assert.match(said[0]?.message ?? '', /v1beta1 is spoken instead/)
})

test('when v1 is served it is spoken again, also where v1beta1 is gone', async () => {
  for (const name of names) await serve(`${name}.networking.istio.io`, ['v1'])
  await kube.apply(gateway)
  assert.equal((await kube.get(ref))?.apiVersion, ref.apiVersion)
})
