import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  backoff,
  type Renewable,
  renewAt,
  renewalReason,
  spreadOf,
} from '../../../src/certificates/renewal/rules.ts'

const now = new Date('2026-11-23T12:00:00Z')
const hour = 3_600_000
const day = 24 * hour

/** From now on, both ends included, as certificates are. */
const lasting = (milliseconds: number) => ({
  notBefore: now,
  notAfter: new Date(now.getTime() + milliseconds - 1000),
})
const after = (milliseconds: number) => new Date(now.getTime() + milliseconds)

// As cert-manager has them in renewaltime_test.go, with both ends belonging to the period.
const times: readonly (readonly [string, Date, Date])[] = [
  ['two thirds of a day', renewAt(lasting(day), 0), after(16 * hour)],
  ['two thirds of 90 days', renewAt(lasting(90 * day), 0), after(60 * day)],
  ['days before the end', renewAt(lasting(30 * day), 0, { days: 25 }), after(5 * day)],
  ['percent of the lifetime', renewAt(lasting(30 * day), 0, { percent: 50 }), after(15 * day)],
  ['1 percent before the end', renewAt(lasting(100 * day), 0, { percent: 1 }), after(99 * day)],
  ['as long as it lives: not followed', renewAt(lasting(day), 0, { days: 1 }), after(16 * hour)],
  ['longer than it lives: not followed', renewAt(lasting(day), 0, { days: 25 }), after(16 * hour)],
  ['a tenth earlier at most', renewAt(lasting(30 * day), 1), after(17 * day)],
  ['half of that', renewAt(lasting(30 * day), 0.5), after(18.5 * day)],
  ['never before the beginning', renewAt(lasting(30 * day), 1, { days: 29 }), now],
  ['whole seconds', renewAt(lasting(10_000), 0), after(6000)],
]

for (const [name, got, wanted] of times) {
  test(`renewal: ${name}`, () => assert.equal(got.toISOString(), wanted.toISOString()))
}

test('renewal lies in the lifetime, on a whole second, whatever is asked', () => {
  const before = fc.oneof(
    fc.constant({}),
    fc.record({ days: fc.integer({ min: 1, max: 3650 }) }),
    fc.record({ percent: fc.integer({ min: 1, max: 99 }) }),
  )
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3650 * 86_400 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      before,
      (seconds, spread, rule) => {
        const validity = lasting(seconds * 1000)
        const at = renewAt(validity, spread, rule)
        assert.equal(at.getTime() % 1000, 0)
        assert.ok(at >= validity.notBefore && at <= validity.notAfter)
      },
    ),
  )
})

test('the spread of a serial is between 0 and 1, and always the same', () => {
  assert.equal(spreadOf('4000000000000000000000000000000000000000'), 0)
  assert.ok(spreadOf('40000000000000000000000000000000ffffffff') < 1)
  assert.equal(spreadOf('4000000000000000000000000000000080000000'), 0.5)
})

test('failures are waited for longer and longer, up to 32 hours', () => {
  const hours = [1, 2, 3, 4, 5, 6, 7, 100].map((failures) => backoff(failures) / hour)
  assert.deepEqual(hours, [1, 2, 4, 8, 16, 32, 32, 32])
})

const good: Renewable = {
  status: 'active',
  notAfter: after(day),
  renewAt: after(hour),
  ordered: false,
  issuerSigns: true,
  allowed: true,
  windows: undefined,
}

const reasons: readonly (readonly [string, Partial<Renewable>, string | undefined])[] = [
  ['nothing is wrong', {}, undefined],
  ['due', { renewAt: now }, 'due'],
  ['nothing is planned', { renewAt: null }, undefined],
  ['policy', { allowed: false }, 'policy'],
  ['its issuer retired', { issuerSigns: false, allowed: false, renewAt: now }, 'issuer-retired'],
  ['ordered', { ordered: true, issuerSigns: false }, 'ordered'],
  ['ended', { notAfter: now, ordered: true, renewAt: now }, 'ended'],
  ['revoked', { status: 'revoked', notAfter: now }, 'revoked'],
]

for (const [name, change, wanted] of reasons) {
  test(`why renew: ${name}`, () => assert.equal(renewalReason({ ...good, ...change }, now), wanted))
}
