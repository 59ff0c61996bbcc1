import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { driftIn, type ObjectDrift, sentenceOf } from '../../../src/delivery/drift/difference.ts'
import { digestOf } from '../../../src/delivery/drift/digest.ts'
import { decide, type Repair } from '../../../src/delivery/drift/policy.ts'
import { refOf } from '../../../src/delivery/plan.ts'

// What counts as drift, who is named for it, and when it is put right: rules.

const labels = { 'app.kubernetes.io/managed-by': 'gatesmith', 'gatesmith.dev/host-id': 'a' }
const wanted: KubeObject = {
  ...kinds.istioGateway,
  metadata: { name: 'one', namespace: 'istio-system', labels },
  spec: { selector: { istio: 'ingressgateway' }, servers: [{ hosts: ['a.test'] }] },
}
const own = {
  manager: 'gatesmith',
  operation: 'Apply',
  time: '2026-01-01T00:00:00Z',
  fieldsV1: {
    'f:metadata': {
      'f:labels': { 'f:app.kubernetes.io/managed-by': {}, 'f:gatesmith.dev/host-id': {} },
    },
    'f:spec': { 'f:selector': {}, 'f:servers': {} },
  },
}

/** The object as a cluster has it, with these managers besides. */
function there(
  change: Partial<KubeObject> = {},
  others: readonly object[] = [],
  ours: object = own,
) {
  const object = { ...wanted, ...change }
  const managedFields = [ours, ...others]
  return { ...object, metadata: Object.assign({ managedFields }, object.metadata) }
}

test('an object says the same however its fields are ordered, and whatever others add', () => {
  const { spec, metadata, ...rest } = wanted
  assert.equal(
    digestOf({ spec: { servers: spec?.servers, selector: spec?.selector }, metadata, ...rest }),
    digestOf(wanted),
  )
  const more = { ...metadata, labels: { ...labels, theirs: 'x' }, annotations: { theirs: 'y' } }
  assert.equal(digestOf(there({ metadata: more })), digestOf(wanted))
})

test('whatever of ours is changed, taken or removed makes it another one', () => {
  const without = {
    ...own,
    fieldsV1: { ...own.fieldsV1, 'f:metadata': { 'f:labels': { 'f:gatesmith.dev/host-id': {} } } },
  }
  const cases: Readonly<Record<string, KubeObject>> = {
    'another spec': there({ spec: { ...wanted.spec, servers: [] } }),
    'a field more': there({ spec: { ...wanted.spec, more: 1 } }),
    'a label changed': there({
      metadata: { ...wanted.metadata, labels: { ...labels, 'gatesmith.dev/host-id': 'b' } },
    }),
    'a label removed': there({ metadata: { ...wanted.metadata, labels: {} } }),
    'a label that is another manager’s now': there({}, [], without),
  }
  for (const [what, object] of Object.entries(cases)) {
    assert.notEqual(digestOf(object), digestOf(wanted), what)
  }
})

test('drift is what others did to what is wanted as before, and names who wrote those fields', () => {
  const step = { action: 'update', ref: refOf(wanted), object: wanted } as const
  const editor = {
    manager: 'kubectl-edit',
    operation: 'Update',
    time: '2026-01-02T00:00:00Z',
    fieldsV1: { 'f:spec': { 'f:servers': {} } },
  }
  const annotator = {
    manager: 'argocd',
    operation: 'Update',
    time: '2026-01-03T00:00:00Z',
    fieldsV1: { 'f:metadata': { 'f:annotations': { 'f:x': {} } } },
  }
  const edited = there({ spec: { ...wanted.spec, servers: [] } }, [annotator, editor])
  const record = { ...refOf(wanted), digest: digestOf(wanted), applied: true }
  const [drift, ...more] = driftIn([record], [step], [edited])
  assert.ok(drift && more.length === 0)
  assert.deepEqual(drift.fields, ['spec.servers'])
  assert.deepEqual(drift.managers, [{ manager: 'kubectl-edit', at: '2026-01-02T00:00:00Z' }])
  assert.equal(
    sentenceOf(drift),
    'Gateway istio-system/one was changed by kubectl-edit at 2026-01-02T00:00:00Z: spec.servers',
  )
  const [removed] = driftIn([record], [{ ...step, action: 'create' }], [])
  assert.equal(removed && sentenceOf(removed), 'Gateway istio-system/one was removed')
  // What is wanted otherwise than before, or was never there, is no drift.
  assert.deepEqual(driftIn([{ ...record, digest: 'of before' }], [step], [edited]), [])
  assert.deepEqual(driftIn([{ ...record, applied: false }], [step], [edited]), [])
})

const drift: ObjectDrift = { ref: refOf(wanted), missing: true, fields: [], managers: [] }
const now = new Date('2026-01-01T12:00:00Z')

function repairs(times: number, secondsAgo: number): readonly Repair[] {
  return [{ ...drift.ref, times, at: new Date(now.getTime() - secondsAgo * 1000).toISOString() }]
}

function decision(
  before: readonly Repair[],
  policy: 'repair' | 'report' = 'repair',
  insisted = false,
) {
  return decide({ policy, insisted, drift: [drift], repairs: before, now })
}

test('repairs of one object wait twice as long each time, and no longer than five minutes', () => {
  const cases = [
    ['never before', [], true],
    ['a second after the first', repairs(1, 1), true],
    ['half a second after the first', repairs(1, 0.5), false],
    ['three seconds after the third', repairs(3, 3), false],
    ['four seconds after the third', repairs(3, 4), true],
    ['four minutes after the twentieth', repairs(20, 240), false],
    ['five minutes after the twentieth', repairs(20, 300), true],
    ['a quarter of an hour after the twentieth', repairs(20, 900), true],
  ] as const
  for (const [what, before, isRepaired] of cases) {
    const { repaired, held } = decision(before)
    assert.deepEqual([repaired.length, held.length], isRepaired ? [1, 0] : [0, 1], what)
  }
  assert.deepEqual(decision(repairs(3, 3)).againAt, new Date(now.getTime() + 1000))
  assert.equal(decision(repairs(3, 4)).repairs[0]?.times, 4)
  assert.equal(decision(repairs(20, 900)).repairs[0]?.times, 1)
  assert.match(decision(repairs(3, 4)).warnings[0] ?? '', /put right 4 times/)
})

test('where drift is reported, it is put right only when somebody insists', () => {
  const reported = decision([], 'report')
  assert.deepEqual([reported.repaired.length, reported.againAt], [0, undefined])
  assert.match(reported.message ?? '', /drift: report/)
  assert.equal(decision([], 'report', true).repaired.length, 1)
  assert.equal(decision(repairs(20, 1), 'repair', true).repaired.length, 1)
})
