import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openContext } from '../../../src/core/context.ts'
import { isBehind, isOnItsWay, noteServed, noteWaiting } from '../../../src/delivery/proof/pace.ts'
import { testConfig } from '../../support/context.ts'

test('an ingress that is behind is asked for few, and for all that were applied before what it serves', (t) => {
  const quiet = () => undefined
  // Nothing of it is stored.
  const config = testConfig('postgresql://nobody@127.0.0.1:1/none')
  const ctx = openContext(config, { info: quiet, warn: quiet, error: quiet })
  t.after(() => ctx.db.close())
  const at = (second: number, ingress = 'default') => ({
    ...{ id: `${second}`, clusterId: 'one', ingress, appliedAt: new Date(second * 1000) },
  })
  for (let vain = 0; vain < 7; vain++) noteServed(ctx, at(10), false)
  assert.equal(isBehind(ctx, at(11)), false)
  noteServed(ctx, at(10), false)
  assert.deepEqual([isBehind(ctx, at(11)), isBehind(ctx, at(11, 'inner'))], [true, false])
  noteServed(ctx, at(12), true)
  assert.equal(isBehind(ctx, at(11)), false)
  // What was applied before is not what it is behind with.
  for (let vain = 0; vain < 8; vain++) noteServed(ctx, at(11), false)
  assert.equal(isBehind(ctx, at(13)), false)
  for (let vain = 0; vain < 8; vain++) noteServed(ctx, at(14), false)
  assert.deepEqual([isBehind(ctx, at(13)), isBehind(ctx, at(12))], [true, false])
  assert.equal(isOnItsWay(ctx, at(13)), false)
  // Who waits is asked for when something is served that was applied later.
  for (const second of [13, 14, 16]) noteWaiting(ctx, at(second))
  noteWaiting(ctx, at(13, 'inner'))
  assert.deepEqual(noteServed(ctx, at(14), false), [])
  assert.deepEqual(noteServed(ctx, at(15), true), [at(13)])
  assert.deepEqual(noteServed(ctx, at(17), true), [at(16)])
  // One of many is waited for as long as the ingress goes on.
  for (let second = 20; second < 28; second++) noteWaiting(ctx, at(second))
  assert.deepEqual([isOnItsWay(ctx, at(20)), isOnItsWay(ctx, at(17))], [true, false])
})
