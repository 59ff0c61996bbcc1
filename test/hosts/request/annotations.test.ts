import assert from 'node:assert/strict'
import { test } from 'node:test'
import { annotationFaults, defaultAnnotations } from '../../../src/hosts/request/annotations.ts'

const dns = 'external-dns.alpha.kubernetes.io'

test('what external-dns reads of a Gateway may be said, but no names', () => {
  const rows = [
    [`${dns}/target`, true],
    [`${dns}/ttl`, true],
    [`${dns}/aws-weight`, true],
    [`${dns}/hostname`, false],
    [`${dns}/internal-hostname`, false],
    ['team.example.com/owner', false],
  ] as const
  for (const [key, allowed] of rows) {
    const faults = annotationFaults({ [key]: 'x' }, defaultAnnotations)
    assert.equal(faults.length === 0, allowed, key)
  }
  const [fault] = annotationFaults({ [`${dns}/hostname`]: 'x' }, defaultAnnotations)
  assert.equal(fault?.field, `/annotations/${dns}~1hostname`)
})

test('what an operator allows is taken, never what Kubernetes and Istio go by', () => {
  const allowed = ['team.example.com/owner', 'cost.example.com/', 'x.example.com/a-', 'istio.io/']
  const rows = [
    ['team.example.com/owner', true],
    ['team.example.com/owners', false],
    ['cost.example.com/center', true],
    ['x.example.com/a-b', true],
    ['x.example.com/b', false],
    ['istio.io/rev', false],
    ['internal.istio.io/webhook-always-reject', false],
    ['kubectl.kubernetes.io/last-applied-configuration', false],
    ['gatesmith.dev/generation', false],
    [`${dns}/target`, false],
  ] as const
  for (const [key, open] of rows) {
    assert.equal(annotationFaults({ [key]: 'x' }, allowed).length === 0, open, key)
  }
})

test('they are bounded together', () => {
  const many = Object.fromEntries(
    [...Array(9).keys()].map((n) => [`${dns}/a${n}`, 'x'.repeat(1000)]),
  )
  assert.deepEqual(
    annotationFaults(many, defaultAnnotations).map(({ field }) => field),
    ['/annotations'],
  )
})
