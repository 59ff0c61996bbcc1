import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { openContext } from '../../../src/core/context.ts'
import {
  isOnItsWay,
  noteAsked,
  noteServed,
  noteWaiting,
  waitUntil,
} from '../../../src/delivery/proof/pace.ts'
import { testConfig } from '../../support/context.ts'

test('an ingress that is behind is asked for few, and for all that were applied before what it serves', (t) => {
  const { ctx, at } = opened(t)
  const waits = (second: number, ingress?: string) => {
    const isWaiting = waitUntil(ctx, at(second, ingress)) !== undefined
    if (isWaiting) noteWaiting(ctx, at(second, ingress))
    return isWaiting
  }
  const inVain = (second: number, times = 8) => {
    for (let asked = 0; asked < times; asked++) noteServed(ctx, at(second), false)
  }
  const served = (second: number) =>
    noteServed(ctx, at(second), true).map(({ placement }) => placement)
  inVain(10, 7)
  assert.equal(waits(11), false)
  inVain(10, 1)
  assert.deepEqual([waits(11), waits(11, 'inner')], [true, false])
  assert.deepEqual(served(12), [at(11)])
  assert.equal(waits(11), false)
  // What was applied before is not what it is behind with.
  inVain(11)
  assert.equal(waits(13), false)
  inVain(14)
  assert.equal(waits(12), false)
  assert.equal(isOnItsWay(ctx, at(13)), false)
  // Who waits is asked for when something is served that was applied later, and the last of all soon as well.
  for (const second of [13, 14, 16, 18, 20]) assert.equal(waits(second), true)
  noteWaiting(ctx, at(13, 'inner'))
  assert.deepEqual(noteServed(ctx, at(14), false), [])
  assert.deepEqual(served(15), [at(13), at(20)])
  const [sixteen, later, ...none] = noteServed(ctx, at(17), true)
  assert.deepEqual([sixteen?.placement, later?.placement, none], [at(16), at(18), []])
  const pause = Number(later?.at) - Number(sixteen?.at)
  assert.ok(pause > 0 && pause <= 1_000, `${pause} ms`)
  // Nobody else is asked for ahead of time until then.
  inVain(18)
  assert.equal(waits(19), true)
  assert.deepEqual(served(18), [])
  // One of many is waited for as long as the ingress goes on.
  inVain(20)
  for (let second = 20; second < 28; second++) assert.equal(waits(second), true)
  assert.deepEqual([isOnItsWay(ctx, at(20)), isOnItsWay(ctx, at(17))], [true, false])
})

test('of an ingress that is behind one is asked for now and then, and others wait for that', (t) => {
  const { ctx, at, pass } = opened(t)
  for (let asked = 0; asked < 8; asked++) noteServed(ctx, at(1), false)
  assert.ok(waitUntil(ctx, at(2)))
  pass(250)
  assert.equal(waitUntil(ctx, at(2)), undefined)
  noteAsked(ctx, at(2))
  assert.ok(waitUntil(ctx, at(3)))
  // What is served already says nothing of how far it has got.
  noteServed(ctx, at(4), true)
  for (let asked = 0; asked < 8; asked++) noteServed(ctx, at(5), false)
  pass(250)
  noteAsked(ctx, at(4))
  assert.equal(waitUntil(ctx, at(5)), undefined)
})

function opened(t: TestContext) {
  const quiet = () => undefined
  // Nothing of it is stored.
  const config = testConfig('postgresql://nobody@127.0.0.1:1/none')
  let time = 1_000_000_000
  const opened = openContext(config, { info: quiet, warn: quiet, error: quiet })
  const ctx = { ...opened, now: () => new Date(time) }
  t.after(() => ctx.db.close())
  const at = (second: number, ingress = 'default') => ({
    ...{ id: `${second}`, clusterId: 'one', ingress, appliedAt: new Date(second * 1000) },
  })
  const pass = (milliseconds: number) => {
    time += milliseconds
  }
  return { ctx, at, pass }
}
