import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  dateText,
  day,
  endsIn,
  happened,
  localText,
  nearness,
  utcText,
} from '../../../console/shared/when.ts'

const now = new Date('2026-11-27T12:00:00Z')
const after = (milliseconds: number) => new Date(now.getTime() + milliseconds)
const hour = 3_600_000

const ends: readonly (readonly [milliseconds: number, says: string])[] = [
  [30_000, 'in less than a minute'],
  [60_000, 'in 1 minute'],
  [119 * 60_000, 'in 119 minutes'],
  [2 * hour, 'in 2 hours'],
  [47 * hour, 'in 47 hours'],
  [2 * day, 'in 2 days'],
  [90 * day - 1, 'in 89 days'],
  [119 * day, 'in 119 days'],
  [130 * day, 'in 4 months'],
  [1_825 * day, 'in 4 years'],
  [-3 * day, 'ended 3 days ago'],
  [0, 'in less than a minute'],
]
for (const [milliseconds, says] of ends) {
  test(`an end that is ${milliseconds / 1000} seconds away reads "${says}"`, () => {
    assert.equal(endsIn(after(milliseconds), now), says)
  })
}

test('what happened is told as long ago as it is', () => {
  assert.equal(happened(after(-5_000), now), 'just now')
  assert.equal(happened(after(-3 * hour), now), '3 hours ago')
  assert.equal(happened(after(3 * hour), now), 'in 3 hours')
})

test('an end is over, near, coming or far', () => {
  const found = [-1, 2 * day, 20 * day, 60 * day].map((each) => nearness(after(each), now))
  assert.deepEqual(found, ['over', 'near', 'coming', 'far'])
})

test('a moment is told in the zone of who reads, and exactly in UTC', () => {
  assert.equal(localText(now, 'Europe/Berlin'), 'Fri, 27 Nov 2026, 13:00:00 CET')
  assert.equal(dateText(new Date('2026-11-27T23:30:00Z'), 'Europe/Berlin'), '28 Nov 2026')
  assert.equal(utcText(now), '2026-11-27 12:00:00 UTC')
})
