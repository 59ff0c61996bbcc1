import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextWindow, turnOf } from '../../../src/certificates/renewal/windows.ts'
import type { RenewalWindows } from '../../../src/tenants/tenant.ts'

type Window = RenewalWindows['windows'][number]
const berlin = (...windows: Window[]): RenewalWindows => ({ timeZone: 'Europe/Berlin', windows })
const night = berlin({ days: ['Tuesday'], from: '22:00', to: '06:00' })
const noon = berlin({ days: ['Monday', 'Thursday'], from: '12:00', to: '12:15' })
const always = berlin({ days: ['Monday'], from: '00:00', to: '00:00' })
const skipped = berlin({ days: ['Sunday'], from: '02:00', to: '03:00' })
const india: RenewalWindows = {
  timeZone: 'Asia/Kolkata',
  windows: [{ days: ['Wednesday'], from: '01:00', to: '02:00' }],
}

// 2026-11-23 is a Monday; Berlin is an hour ahead of UTC in winter, and two in summer.
const rows: readonly (readonly [
  string,
  RenewalWindows | undefined,
  string,
  string | [string, string],
])[] = [
  ['none at all', undefined, '2026-11-23T12:00Z', 'open'],
  ['before it', night, '2026-11-23T12:00Z', ['2026-11-24T21:00Z', '2026-11-25T05:00Z']],
  ['its first second', night, '2026-11-24T21:00Z', 'open'],
  ['over midnight', night, '2026-11-25T04:59:59Z', 'open'],
  ['the second after it', night, '2026-11-25T05:00Z', ['2026-12-01T21:00Z', '2026-12-02T05:00Z']],
  ['of several days', noon, '2026-11-23T11:15Z', ['2026-11-26T11:00Z', '2026-11-26T11:15Z']],
  ['a whole day', always, '2026-11-23T22:59:59Z', 'open'],
  ['the day after', always, '2026-11-23T23:00Z', ['2026-11-29T23:00Z', '2026-11-30T23:00Z']],
  ['in summer', night, '2026-07-06T12:00Z', ['2026-07-07T20:00Z', '2026-07-08T04:00Z']],
  [
    'an offset of half an hour',
    india,
    '2026-11-23T12:00Z',
    ['2026-11-24T19:30Z', '2026-11-24T20:30Z'],
  ],
  // Clocks go from 02:00 to 03:00 on 2026-03-29.
  [
    'hours that clocks skip',
    skipped,
    '2026-03-28T12:00Z',
    ['2026-04-05T00:00Z', '2026-04-05T01:00Z'],
  ],
]

for (const [name, windows, now, wanted] of rows) {
  test(`the next window: ${name}`, () => {
    const [opens, closes] = typeof wanted === 'string' ? [] : wanted
    const next = opens && closes ? { opens: new Date(opens), closes: new Date(closes) } : wanted
    assert.deepEqual(nextWindow(windows, new Date(now)), next)
  })
}

test('what ends before the next window closes does not wait for it', () => {
  const next = nextWindow(night, new Date('2026-11-23T12:00Z'))
  assert.equal(turnOf(next, new Date('2026-11-25T04:59:59Z')), 'early')
  const waitsUntil = new Date('2026-11-24T21:00Z')
  assert.deepEqual(turnOf(next, new Date('2026-11-25T05:00Z')), { waitsUntil })
  assert.equal(turnOf('open', new Date('2026-11-23T12:00Z')), 'now')
})
