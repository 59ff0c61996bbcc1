import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { batched, batchedReads } from '../../../src/core/database/batch.ts'

test('calls that come while others are worked off go together, in bounded groups', async () => {
  const groups: number[] = []
  const double = batched(
    async (items: readonly number[]) => {
      groups.push(items.length)
      await turn()
      return items.map((item) => item * 2)
    },
    { size: 4, lanes: 1 },
  )
  const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => double(index)))
  assert.deepEqual(
    answers,
    Array.from({ length: 10 }, (_, index) => index * 2),
  )
  assert.deepEqual(groups, [4, 4, 2])
  assert.equal(await double(21), 42)
})

test('no more groups are under way than there are lanes', async () => {
  let under = 0
  let most = 0
  const work = batched(
    async (items: readonly number[]) => {
      most = Math.max(most, ++under)
      await turn()
      under--
      return items
    },
    { size: 1, lanes: 3 },
  )
  await Promise.all(Array.from({ length: 20 }, (_, index) => work(index)))
  assert.equal(most, 3)
})

test('a group that fails fails for each of its items, and the next one is tried', async () => {
  let broken = true
  const work = batched(
    async (items: readonly number[]) => {
      if (broken) throw new Error('down')
      return items
    },
    { size: 10, lanes: 1 },
  )
  const first = await Promise.allSettled([work(1), work(2)])
  assert.deepEqual(
    first.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  broken = false
  assert.equal(await work(3), 3)
})

test('reads of one moment share a statement, and what is not there is null', async () => {
  const asked: string[][] = []
  const read = batchedReads(
    async (keys) => {
      asked.push(keys)
      return keys.filter((key) => key !== 'gone').map((key) => ({ key }))
    },
    ({ key }) => key,
  )
  const rows = await Promise.all([read('a'), read('b'), read('a'), read('gone')])
  assert.deepEqual(rows, [{ key: 'a' }, { key: 'b' }, { key: 'a' }, null])
  assert.deepEqual(asked, [['a', 'b', 'gone']])
})
