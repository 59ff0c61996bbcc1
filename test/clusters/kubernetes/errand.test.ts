import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { askForAll, onErrand, openGate } from '../../../src/clusters/kubernetes/errand.ts'

/** A gate with what went through it, in that order; `hold` is inside until it is let go. */
function gateOf(width: number) {
  const gate = openGate(width)
  const order: string[] = []
  const asked = (name: string, { urgent = false, isChange = false } = {}) =>
    onErrand({ urgent, since: 0 }, () => gate(isChange, async () => void order.push(name)))
  const hold = () => {
    const held = Promise.withResolvers<void>()
    const done = gate(false, () => held.promise)
    return async () => {
      held.resolve()
      await done
    }
  }
  return { gate, order, asked, hold }
}

test('what is urgent passes whoever waits, and no more are inside than may be', async () => {
  const { order, asked, hold } = gateOf(2)
  const letGo = [hold(), hold()]
  const all = [asked('first'), asked('second'), asked('urgent', { urgent: true })]
  await new Promise(setImmediate)
  assert.deepEqual(order, [])
  await Promise.all(letGo.map((each) => each()))
  await Promise.all(all)
  assert.deepEqual(order, ['urgent', 'first', 'second'])
})

test('reads and changes take turns, and changes of what began first go first', async () => {
  const { gate, order, hold } = gateOf(1)
  const letGo = hold()
  const go = (name: string, isChange: boolean) => gate(isChange, async () => void order.push(name))
  const isFirst = Promise.withResolvers<void>()
  const first = onErrand({ urgent: false, since: 0 }, async () => {
    await isFirst.promise
    await go('change of the first', true)
  })
  const others = ['second', 'third'].map((name) =>
    onErrand({ urgent: false, since: 0 }, async () => {
      await Promise.all([go(`read of the ${name}`, false), go(`change of the ${name}`, true)])
    }),
  )
  await new Promise(setImmediate)
  isFirst.resolve()
  await new Promise(setImmediate)
  await letGo()
  await Promise.all([first, ...others])
  assert.deepEqual(
    order.filter((each) => each.startsWith('change')),
    ['change of the first', 'change of the second', 'change of the third'],
  )
  assert.deepEqual(
    order.slice(0, 4).map((each) => each.slice(0, 4)),
    ['chan', 'read', 'chan', 'read'],
  )
})

test('after an urgent change other changes wait for a moment, and what is only read does not', async () => {
  const { order, asked } = gateOf(2)
  await asked('urgent', { urgent: true, isChange: true })
  const change = asked('change', { isChange: true })
  await asked('read')
  await asked('urgent again', { urgent: true, isChange: true })
  assert.deepEqual(order, ['urgent', 'read', 'urgent again'])
  await change
  assert.deepEqual(order.at(-1), 'change')
})

test('an urgent change soon after another has its moment, too', async () => {
  const { asked } = gateOf(2)
  const urgent = () => asked('urgent', { urgent: true, isChange: true })
  const change = () => asked('change', { isChange: true })
  await urgent()
  // The moment of the first is over when a change is let through.
  await change()
  await urgent()
  const begun = performance.now()
  let [last, longest] = [begun, 0]
  while (last - begun < 1_000) {
    await change()
    await wait(1)
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  assert.ok(longest > 200, `changes were held back for ${longest} ms`)
})

test('what several wait for does not wait while one is alone, whoever asked first', async () => {
  const { gate, order, asked } = gateOf(8)
  const begun = Promise.withResolvers<void>()
  const shared = onErrand({ urgent: false, since: 0 }, async () => {
    await begun.promise
    await askForAll(() => gate(false, async () => void order.push('shared')))
  })
  const revocation = onErrand({ urgent: true, alone: true, since: 0 }, async () => {
    begun.resolve()
    await shared
    order.push('revocation')
  })
  await Promise.all([asked('usual'), revocation])
  assert.deepEqual(order, ['shared', 'revocation', 'usual'])
})

test('while one is alone nothing begins that is not urgent, and what has begun asks for nothing', async () => {
  const { order, asked } = gateOf(8)
  const begun = Promise.withResolvers<void>()
  const under = onErrand({ urgent: false, since: 0 }, async () => {
    await begun.promise
    await asked('begun before')
  })
  const held = Promise.withResolvers<void>()
  const revocation = onErrand({ urgent: true, alone: true, since: 0 }, async () => {
    begun.resolve()
    await held.promise
    order.push('revocation')
  })
  const later = asked('later')
  await asked('urgent', { urgent: true })
  assert.deepEqual(order, ['urgent'])
  held.resolve()
  await Promise.all([under, revocation, later])
  assert.deepEqual(order.slice(0, 2), ['urgent', 'revocation'])
  assert.deepEqual(order.slice(2).toSorted(), ['begun before', 'later'])
})

test('one that is alone for good has nobody wait for good', async () => {
  const { order, asked } = gateOf(8)
  const held = Promise.withResolvers<void>()
  const stuck = onErrand({ urgent: true, alone: true, since: 0 }, () => held.promise)
  await asked('usual')
  assert.deepEqual(order, ['usual'])
  held.resolve()
  await stuck
})
