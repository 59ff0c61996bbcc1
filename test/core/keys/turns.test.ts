import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { fairTurns } from '../../../src/core/keys/turns.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { isProblem } from '../../support/problem.ts'

const options = { atOnce: 1, room: { all: 100, each: 50 }, what: 'things', seconds: 0.5 }

/** Orders of these parties, all at once; answers whose was done when. */
async function order(parties: readonly string[], atOnce = 1): Promise<readonly string[]> {
  const turns = fairTurns({ ...options, atOnce })
  const done: string[] = []
  await Promise.all(
    parties.map(async (party) => {
      await turns(party, () => turn())
      done.push(party)
    }),
  )
  return done
}

test('one order of somebody else waits for two of fifty at most', async () => {
  const fifty = Array.from({ length: 50 }, () => 'a')
  const done = await order([...fifty, 'b', 'b', 'c'])
  assert.ok(done.indexOf('b') <= 2, done.join(''))
  assert.ok(done.indexOf('c') <= 3, done.join(''))
  assert.equal(done.lastIndexOf('b') <= 6, true, done.join(''))
  assert.equal(done.length, 53)
})

test('no more is under way than may be, and all comes to an end', async () => {
  const turns = fairTurns({ ...options, atOnce: 2 })
  let under = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++under)
    await turn()
    under--
  }
  await Promise.all(Array.from({ length: 30 }, (_, index) => turns(`${index % 3}`, work)))
  assert.equal(most, 2)
})

test('who has enough waiting is told to come back, and nobody else is', async () => {
  const turns = fairTurns({ ...options, room: { all: 4, each: 3 } })
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const running = turns('a', () => held)
  const waiting = [1, 2, 3].map((each) => turns('a', () => each))
  await assert.rejects(
    turns('a', () => 4),
    (error: unknown) => {
      assert.ok(error instanceof Problem && error.type === 'busy')
      assert.equal(error.extra.retryAfterSeconds, 2)
      return true
    },
  )
  const other = turns('b', () => 'b')
  // Four wait now: no room for more of those who wait already, but for who does not.
  await assert.rejects(
    turns('b', () => 'b'),
    isProblem('busy'),
  )
  const third = turns('c', () => 'c')
  release()
  assert.deepEqual(await Promise.all([...waiting, other, third]), [1, 2, 3, 'b', 'c'])
  await running
  assert.equal(await turns('a', () => 5), 5)
})

test('work that fails fails for who asked, and the next has its turn', async () => {
  const turns = fairTurns(options)
  const broken = turns('a', () => Promise.reject(new Error('no')))
  const next = turns('a', () => 1)
  await assert.rejects(broken, /no/)
  assert.equal(await next, 1)
})
