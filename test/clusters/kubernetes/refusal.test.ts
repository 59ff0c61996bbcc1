import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusal } from '../../../src/clusters/kubernetes/refusal.ts'

function refused(message: string) {
  return refusal({ code: 500, body: JSON.stringify({ kind: 'Status', code: 500, message }) })
}

test('a field that the cluster does not know is refused for good, and not as if the cluster were away', () => {
  // As a kube-apiserver 1.36 words it.
  const message =
    'failed to create typed patch object (test/fv; networking.istio.io/v1, Kind=VirtualService): .spec.bogus: field not declared in schema'
  const { fault, message: told } = refused(message)
  assert.deepEqual({ fault, told }, { fault: 'invalid', told: message })
  assert.equal(refused('etcdserver: request timed out').fault, 'unavailable')
})
