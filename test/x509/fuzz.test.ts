import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from '../../bench/fuzz.ts'

test('whatever becomes of a sample, its reader reads it or refuses it by an error of ours, in time', async () => {
  const seed = 20261127
  for (const { reader, inputs, read, refused, slowestMilliseconds } of await fuzz({
    inputs: 8000,
    seed,
  })) {
    assert.equal(read + refused, inputs)
    assert.ok(refused > inputs / 10, `${reader} refuses ${refused} of ${inputs}`)
    assert.ok(slowestMilliseconds < 5000, `${reader} took ${slowestMilliseconds} ms for one`)
  }
})
