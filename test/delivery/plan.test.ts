import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../src/clusters/kubernetes/kube.ts'
import { istio } from '../../src/delivery/istio/renderer.ts'
import { foreignObjects, plan } from '../../src/delivery/plan.ts'

const hostId = 'h'
const istioVersion = 'networking.istio.io/v1'
const ours = { 'app.kubernetes.io/managed-by': 'gatesmith', 'gatesmith.dev/host-id': hostId }

const groups = { Secret: 'v1', Gateway: istioVersion, VirtualService: istioVersion } as const

function object(kind: 'Secret' | 'Gateway' | 'VirtualService', change: object = {}): KubeObject {
  const metadata = { name: 'www', namespace: 'ns', labels: ours, annotations: { a: '1' } }
  const content = kind === 'Secret' ? { type: 'x', data: { k: 'v' } } : { spec: { hosts: ['h'] } }
  return { apiVersion: groups[kind], kind, metadata, ...content, ...change }
}

const all = [object('Secret'), object('Gateway'), object('VirtualService')]
const meta = (change: object) => ({ metadata: { ...object('Secret').metadata, ...change } })

function actions(desired: readonly KubeObject[], observed: readonly KubeObject[]) {
  const steps = plan({ hostId, order: istio.kinds, desired, observed })
  return steps.map(({ action, ref }) => `${action} ${ref.kind}`)
}

test('up goes the Secret first, down it goes last', () => {
  assert.deepEqual(actions(all, []), ['create Secret', 'create Gateway', 'create VirtualService'])
  assert.deepEqual(actions(all, all), ['keep Secret', 'keep Gateway', 'keep VirtualService'])
  assert.deepEqual(actions([], all), ['remove VirtualService', 'remove Gateway', 'remove Secret'])
})

test('what differs is updated, and what others add to metadata is not a difference', () => {
  const rows = [
    [object('Secret'), object('Secret', { data: { k: 'w' } }), 'update'],
    [object('Secret'), object('Secret', { data: { k: 'v', more: 'w' } }), 'update'],
    [object('Secret'), object('Secret', { type: 'y' }), 'update'],
    [object('Gateway'), object('Gateway', { spec: { hosts: ['h'], more: 1 } }), 'update'],
    [object('Secret'), object('Secret', meta({ annotations: { a: '2' } })), 'update'],
    [object('Secret'), object('Secret', meta({ annotations: { a: '1', b: '2' } })), 'keep'],
    [object('Secret'), object('Secret', meta({ labels: { ...ours, more: 'x' } })), 'keep'],
  ] as const
  for (const [desired, observed, action] of rows) {
    assert.deepEqual(actions([desired], [observed]), [`${action} ${desired.kind}`])
  }
})

test('what once carried the host and is no longer wanted goes after the rest is up', () => {
  const old = object('Secret', meta({ name: 'old' }))
  assert.deepEqual(actions(all, [old, ...all]), [
    'keep Secret',
    'keep Gateway',
    'keep VirtualService',
    'remove Secret',
  ])
})

test('an object that is not this host’s is named, and never removed', () => {
  const rows = [
    {},
    { ...ours, 'gatesmith.dev/host-id': 'other' },
    { 'gatesmith.dev/host-id': hostId },
  ]
  for (const labels of rows) {
    const foreign = object('Gateway', meta({ labels }))
    assert.match(
      foreignObjects({ hostId, desired: all, observed: [foreign] })[0] ?? '',
      /Gateway ns\/www/,
    )
    assert.deepEqual(actions([], [foreign]), [])
  }
  assert.deepEqual(foreignObjects({ hostId, desired: all, observed: all }), [])
})

test('two kinds of one name are two objects, and a kind is the same in every version', () => {
  const other = object('Gateway', { apiVersion: 'gateway.networking.k8s.io/v1' })
  const older = object('Gateway', { apiVersion: 'networking.istio.io/v1beta1' })
  assert.deepEqual(actions([object('Gateway')], [other]), ['create Gateway', 'remove Gateway'])
  assert.deepEqual(actions([object('Gateway')], [older]), ['keep Gateway'])
  const foreign = { ...other, ...meta({ labels: {} }) }
  assert.deepEqual(foreignObjects({ hostId, desired: all, observed: [foreign] }), [])
})
