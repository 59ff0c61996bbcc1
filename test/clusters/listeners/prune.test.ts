import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPruner, type Wanted } from '../../../src/clusters/listeners/prune.ts'

const limit = 10_000

function pruned(text: string, wanted: Wanted, size = 1): unknown {
  const pruner = createPruner(wanted, limit)
  const octets = Buffer.from(text)
  for (let at = 0; at < octets.length; at += size) pruner.write(octets.subarray(at, at + size))
  return pruner.end()
}

const whole: readonly string[] = [
  '{}',
  '[]',
  '7',
  '-1.5e3',
  'true',
  'null',
  '"a"',
  '"\\"\\\\\\u00e9"',
  '"é€😀"',
  ' [ 1 , [ ] , { "a" : { } } ] ',
  '{"a":"}]","b":[{"c":null},"x\\"]"],"__proto__":1}',
]

for (const text of whole) {
  test(`all of ${text} is what JSON.parse makes of it, in pieces of any size`, () => {
    for (const size of [1, 2, 3, 7, 1000]) {
      assert.deepEqual(pruned(text, true, size), JSON.parse(text))
    }
  })
}

const table: readonly { readonly text: string; readonly wanted: Wanted; readonly left: unknown }[] =
  [
    { text: '{"a":1,"b":2}', wanted: { b: true }, left: { b: 2 } },
    { text: '{"a":{"b":[1,{"c":"]}"}]},"d":4}', wanted: { d: true }, left: { d: 4 } },
    { text: '{"a":"\\\\","b":2}', wanted: { b: true }, left: { b: 2 } },
    {
      text: '[{"a":1,"b":{"c":1,"d":2}},{"b":{}},7]',
      wanted: { b: { d: true } },
      left: [{ b: { d: 2 } }, { b: {} }, 7],
    },
    { text: '{"a":1}', wanted: {}, left: {} },
    { text: '{"a":"text"}', wanted: { a: { b: true } }, left: { a: 'text' } },
  ]

for (const { text, wanted, left } of table) {
  test(`of ${text} what is wanted by ${JSON.stringify(wanted)} is left`, () => {
    for (const size of [1, 5, 1000]) assert.deepEqual(pruned(text, wanted, size), left)
  })
}

for (const text of ['', '{', '[1', '{"a":1}}', '[}', '{"a"', 'nul', '<html>', '{1:2}', '1 2']) {
  test(`"${text}" is no document`, () => {
    assert.throws(() => pruned(text, true), SyntaxError)
  })
}

test('no more is kept than may be, and no deeper', () => {
  const long = JSON.stringify({ skipped: 'x'.repeat(5 * limit), kept: 'y' })
  assert.deepEqual(pruned(long, { kept: true }, 64), { kept: 'y' })
  assert.throws(() => pruned(long, { skipped: true }, 64), RangeError)
  assert.throws(() => pruned('['.repeat(200), true, 64), RangeError)
})
