import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTally } from '../../src/audit/tally.ts'

const at = (milliseconds: number) => new Date(milliseconds)
const thing = (key: string, group = 'a') => ({
  key,
  group,
  item: key,
  rest: { key: `rest of ${group}`, item: `rest of ${group}` },
})
const shown = (counted: readonly { item: string; count: number }[]) =>
  counted.map(({ item, count }) => `${item} ${count}`)

test('the first is told at once, those that follow once in an interval, and nothing when nothing follows', () => {
  const tally = openTally<string>(100, () => 10)
  assert.equal(tally.add(thing('x'), at(0)), true)
  assert.deepEqual(shown(tally.take(at(0))), ['x 1'])
  for (const moment of [1, 2, 3]) assert.equal(tally.add(thing('x'), at(moment)), false)
  assert.deepEqual(shown(tally.take(at(99))), [])
  const [told] = tally.take(at(100))
  assert.deepEqual([told?.count, told?.since], [3, at(1)])
  tally.add(thing('x'), at(150))
  assert.deepEqual(shown(tally.take(at(199))), [])
  assert.deepEqual(shown(tally.take(at(160), true)), ['x 1'])
  assert.deepEqual(shown(tally.take(at(500))), [])
  assert.equal(tally.add(thing('x'), at(501)), true)
})

test('who comes under ever new names is told by so many, and then in sum; other groups have their own', () => {
  const tally = openTally<string>(100, () => 2)
  for (let each = 0; each < 1000; each++) tally.add(thing(`x${each}`), at(0))
  tally.add(thing('y', 'b'), at(0))
  assert.deepEqual(shown(tally.take(at(0))), ['x0 1', 'x1 1', 'rest of a 998', 'y 1'])
  // Who is quiet for an interval makes room.
  assert.deepEqual(shown(tally.take(at(100))), [])
  tally.add(thing('z'), at(100))
  assert.deepEqual(shown(tally.take(at(100))), ['z 1'])
})

test('what could not be told is told again, with what came since', () => {
  const tally = openTally<string>(100, () => 2)
  tally.add(thing('x'), at(0))
  const taken = tally.take(at(0))
  tally.add(thing('x'), at(1))
  tally.restore(taken)
  const [told] = tally.take(at(2))
  assert.deepEqual([told?.count, told?.since], [2, at(0)])
})
