import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordedRefs, recordOf, shownObjects } from '../../src/hosts/objects.ts'
import { isProblem } from '../support/problem.ts'

const place = { namespace: 'istio-system', name: 'www-0badcafe' }
// As the first release recorded them.
const first = [
  { kind: 'Secret', ...place },
  { kind: 'Gateway', ...place },
  { kind: 'VirtualService', ...place },
]

test('objects that the first release recorded are known, and are recorded the same again', () => {
  const refs = recordedRefs(first)
  assert.deepEqual(
    refs.map(({ apiVersion }) => apiVersion),
    ['v1', 'networking.istio.io/v1', 'networking.istio.io/v1'],
  )
  assert.deepEqual(recordOf(refs), first)
})

test('two Gateways of two API groups are recorded apart, and shown as the contract says', () => {
  const refs = [
    { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', ...place },
    { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', ...place },
  ]
  const recorded = recordOf(refs)
  assert.deepEqual(recordedRefs(recorded), refs)
  const shown = { kind: 'Gateway', ...place }
  assert.deepEqual(shownObjects(recorded), [shown, shown])
})

test('nothing is done about an object of which nobody knows what it is', () => {
  for (const odd of [[{ kind: 'Route', ...place }], [{ kind: 'Secret' }], 'none', null]) {
    assert.throws(() => recordedRefs(odd), isProblem('host-refused'))
  }
})
