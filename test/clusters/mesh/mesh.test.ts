import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findMeshTls } from '../../../src/clusters/mesh/find.ts'
import { ownerOf } from '../../../src/clusters/mesh/owner.ts'
import { putMeshTls } from '../../../src/clusters/mesh/put.ts'
import { settingsOf } from '../../../src/clusters/mesh/revision.ts'
import type { MeshTlsQuery, NewMeshTls } from '../../../src/clusters/mesh/schema.ts'
import { openStage } from '../../delivery/support.ts'
import { caller } from '../../sandbox/support.ts'
import { admin } from '../../support/context.ts'

const { ctx, kube, sandbox } = await openStage()
const call = caller(sandbox.kubeconfig)
const name = 'sandbox'
const ref = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'istio-system', name: 'istio' }
const path = '/api/v1/namespaces/istio-system/configmaps/istio'

async function text() {
  return (await kube.get(ref))?.data?.mesh ?? ''
}

function put(asked: NewMeshTls, query: MeshTlsQuery & { dryRun?: boolean } = {}) {
  return putMeshTls(ctx, admin, { name, query, request: asked })
}

function patch(body: object) {
  const headers = { 'content-type': 'application/merge-patch+json' }
  return call('PATCH', `${path}?fieldManager=kubectl`, JSON.stringify(body), headers)
}

const strict = { meshMTLS: { minProtocolVersion: 'TLSV1_3' } } as const

test('the mesh says what is set, what it comes to and whom it concerns', async () => {
  const { revisions } = await findMeshTls(ctx, admin, { name, query: {} })
  const [only, ...others] = revisions
  assert.deepEqual(others, [])
  assert.deepEqual(
    [only?.revision, only?.ingresses, only?.owner, only?.configMap.name],
    ['default', ['default'], null, 'istio'],
  )
  assert.deepEqual(
    [only?.meshMTLS, only?.tlsDefaults].map((each) => [
      each?.minProtocolVersion,
      each?.effective,
      each?.source,
    ]),
    [
      ['TLSV1_2', 'TLSV1_2', 'set'],
      [null, 'TLSV1_2', 'default'],
    ],
  )
})

test('a dry run tells the difference and writes nothing; then it is written, audited, once', async () => {
  const before = await text()
  const trial = await put(strict, { dryRun: true })
  assert.deepEqual([trial.changed, trial.dryRun], [true, true])
  assert.equal(trial.diff, '-  minProtocolVersion: TLSV1_2\n+  minProtocolVersion: TLSV1_3\n')
  assert.equal(await text(), before)

  const done = await put(strict)
  assert.deepEqual([done.changed, done.meshTls.meshMTLS.effective], [true, 'TLSV1_3'])
  assert.equal(await text(), before.replace('TLSV1_2', 'TLSV1_3'))
  const events = await ctx.db.read.auditEvent.findMany({
    where: { action: { startsWith: 'cluster.mesh-tls' } },
    orderBy: { seq: 'asc' },
  })
  assert.deepEqual(
    events.map(({ action }) => action),
    ['cluster.mesh-tls-ordered', 'cluster.mesh-tls-changed'],
  )
  for (const { changes } of events) {
    assert.deepEqual(Object(changes).changed, {
      '/meshMTLS': { before: 'TLSV1_2', after: 'TLSV1_3' },
    })
  }

  const object = await kube.get(ref)
  const again = await put(strict)
  assert.deepEqual([again.changed, again.diff], [false, ''])
  assert.equal((await kube.get(ref))?.metadata.resourceVersion, object?.metadata.resourceVersion)
  assert.equal(
    await ctx.db.read.auditEvent.count({ where: { action: 'cluster.mesh-tls-changed' } }),
    1,
  )
})

test('both are set at once, and null takes one out again', async () => {
  const both = { ...strict, tlsDefaults: { minProtocolVersion: 'TLSV1_3' } } as const
  assert.match((await put(both)).diff, /\+tlsDefaults:\n\+ {2}minProtocolVersion: TLSV1_3\n/)
  const { meshTls } = await put({ tlsDefaults: { minProtocolVersion: null } })
  assert.equal(meshTls.tlsDefaults.source, 'default')
  assert.equal(meshTls.meshMTLS.source, 'set')
})

test('what somebody else changes meanwhile is not written over', async () => {
  const object = await kube.get(ref)
  assert.ok(object)
  await patch({ data: { mesh: `${await text()}\nenableTracing: false\n` } })
  const { resourceVersion = '' } = object.metadata
  const stale = { ...ref, metadata: { name: 'istio', namespace: 'istio-system', resourceVersion } }
  await assert.rejects(kube.apply({ ...stale, data: { mesh: '' } }, { force: true }), {
    fault: 'conflict',
  })
  assert.match(await text(), /enableTracing: false/)
})

test('of two who set different things at once, none undoes what the other did', async () => {
  const asked = [
    { meshMTLS: { minProtocolVersion: 'TLS_AUTO' } },
    { tlsDefaults: { minProtocolVersion: 'TLSV1_2' } },
  ] as const
  const settled = await Promise.allSettled(asked.map((each) => put(each)))
  const expected = settled.map((each, index) => {
    if (each.status === 'fulfilled') return [asked[index]]
    assert.equal(each.reason.type, 'mesh-changed')
    return []
  })
  assert.ok(expected.flat().length > 0)
  const { revisions } = await findMeshTls(ctx, admin, { name, query: {} })
  for (const each of expected.flat()) {
    for (const [setting, { minProtocolVersion }] of Object.entries(each ?? {})) {
      const found = setting === 'meshMTLS' ? revisions[0]?.meshMTLS : revisions[0]?.tlsDefaults
      assert.equal(found?.minProtocolVersion, minProtocolVersion)
    }
  }
})

test('a map of Helm is set by force alone', async () => {
  await patch({ metadata: { annotations: { 'meta.helm.sh/release-name': 'istiod' } } })
  const asked = { meshMTLS: { minProtocolVersion: 'TLSV1_2' } } as const
  const before = await text()
  await assert.rejects(put(asked), { type: 'mesh-owned' })
  assert.equal(await text(), before)
  assert.equal((await put({ ...asked, force: true })).changed, true)
})

test('a mesh that is not there, or cannot be read, is a problem that says so', async () => {
  await assert.rejects(put(strict, { revision: 'other' }), { type: 'mesh-unknown' })
  await assert.rejects(findMeshTls(ctx, admin, { name, query: { namespace: 'test' } }), {
    type: 'mesh-unknown',
  })
  await patch({ data: { mesh: 'a: [' } })
  await assert.rejects(put({ ...strict, force: true }), { type: 'mesh-refused' })
})

const none = { meshMTLS: null, tlsDefaults: null }

const versions: readonly {
  readonly version: string | null
  readonly stated: string
  readonly effective: string
}[] = [
  { version: '1.26.9', stated: 'TLSV1_3', effective: 'TLSV1_1' },
  { version: '1.27.5', stated: 'TLSV1_2', effective: 'TLSV1_0' },
  { version: '1.27.6', stated: 'TLSV1_3', effective: 'TLSV1_3' },
  { version: '1.28.3', stated: 'TLSV1_3', effective: 'TLSV1_1' },
  { version: '1.28.4', stated: 'TLSV1_3', effective: 'TLSV1_3' },
  { version: '1.29.0', stated: 'TLSV1_3', effective: 'TLSV1_1' },
  { version: '1.29.1', stated: 'TLSV1_3', effective: 'TLSV1_3' },
  { version: '1.30.0', stated: 'TLSV1_3', effective: 'TLSV1_3' },
  { version: '1.28.3', stated: 'TLS_AUTO', effective: 'TLSV1_2' },
  { version: null, stated: 'TLSV1_3', effective: 'TLSV1_3' },
  { version: '1.31.0', stated: 'TLSV9', effective: 'unknown' },
]

for (const { version, stated, effective } of versions) {
  test(`tlsDefaults ${stated} of Istio ${version ?? 'unknown'} comes to ${effective}`, () => {
    const map = `tlsDefaults: {minProtocolVersion: ${stated}}`
    assert.equal(settingsOf(map, { shared: none, version }).tlsDefaults.effective, effective)
  })
}

test('a shared map goes where the own one says nothing', () => {
  const shared = { meshMTLS: 'TLSV1_3', tlsDefaults: 'TLSV1_3' }
  const map = 'meshMTLS: {minProtocolVersion: TLSV1_2}'
  const { meshMTLS, tlsDefaults } = settingsOf(map, { shared, version: '1.31.0' })
  assert.deepEqual([meshMTLS.source, meshMTLS.effective], ['set', 'TLSV1_2'])
  assert.deepEqual([tlsDefaults.source, tlsDefaults.effective], ['shared', 'TLSV1_3'])
})

const owners: readonly { readonly metadata: object; readonly owner: string | null }[] = [
  { metadata: {}, owner: null },
  { metadata: managed('kubectl-edit'), owner: null },
  { metadata: managed('gatesmith'), owner: null },
  { metadata: managed('mesh-bot'), owner: 'the field manager mesh-bot' },
  { metadata: managed('istio-operator'), owner: 'istioctl install' },
  { metadata: { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }, owner: 'Helm' },
  { metadata: { labels: { release: 'istiod' } }, owner: 'Helm (release istiod)' },
  {
    metadata: { labels: { 'argocd.argoproj.io/instance': 'mesh', release: 'istiod' } },
    owner: 'Argo CD (mesh)',
  },
  { metadata: { labels: { 'helm.toolkit.fluxcd.io/name': 'istiod' } }, owner: 'Flux (istiod)' },
  {
    metadata: { ownerReferences: [{ kind: 'IstioRevision', name: 'default' }] },
    owner: 'IstioRevision default',
  },
]

function managed(manager: string) {
  const held = { manager, fieldsV1: { 'f:data': { 'f:mesh': {} } } }
  return { managedFields: [{ manager: 'other', fieldsV1: { 'f:metadata': {} } }, held] }
}

for (const { metadata, owner } of owners) {
  test(`the owner of a map with ${JSON.stringify(metadata)} is ${owner ?? 'nobody'}`, () => {
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio', ...metadata } }
    assert.equal(ownerOf(map), owner)
  })
}
