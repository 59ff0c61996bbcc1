import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedIngresses, completeIngress, ingressFaults } from '../../src/clusters/ingresses.ts'

const first = completeIngress({ address: '192.0.2.1:443' })

const table: readonly {
  readonly title: string
  readonly other: Parameters<typeof completeIngress>[0]
  readonly faults: readonly string[]
}[] = [
  {
    title: 'other labels and another address',
    other: { selector: { istio: 'internal' }, address: '192.0.2.2:443' },
    faults: [],
  },
  {
    title: 'the same labels, which a Gateway selects in every namespace',
    other: { namespace: 'internal', address: '192.0.2.2:443' },
    faults: ['/ingresses/internal/selector'],
  },
  {
    title: 'labels that go further than those of the other',
    other: { selector: { istio: 'ingressgateway', zone: 'b' }, address: '192.0.2.2:443' },
    faults: ['/ingresses/internal/selector'],
  },
  {
    title: 'the same address',
    other: { selector: { istio: 'internal' }, address: '192.0.2.1:443' },
    faults: ['/ingresses/internal/address'],
  },
  {
    title: 'no port',
    other: { selector: { istio: 'internal' }, address: '192.0.2.2:0' },
    faults: ['/ingresses/internal/address'],
  },
]

for (const { title, other, faults } of table) {
  test(`a second ingress with ${title} is ${faults.length === 0 ? 'fine' : 'refused'}`, () => {
    const found = ingressFaults({ default: first, internal: completeIngress(other) })
    assert.deepEqual(
      found.map(({ field }) => field),
      faults,
    )
  })
}

test('a change names some ingresses, and the others stay', () => {
  const [a, b] = ['a', 'b'].map((istio) =>
    completeIngress({ selector: { istio }, address: `${istio}:443` }),
  )
  assert.ok(a && b)
  assert.deepEqual(changedIngresses({ a }, { b }), { a, b })
  assert.deepEqual(changedIngresses({ a, b }, { a: null, constructor: null }), { b })
  assert.deepEqual(changedIngresses({ a }, { a: b }), { a: b })
})
