import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concerns, type Found } from '../../../console/attention/concerns.ts'
import { steps } from '../../../console/authorities/steps.ts'
import { stepsOf } from '../../../console/expiry/steps.ts'

const now = new Date('2026-11-27T12:00:00Z')

const leaf = (id: string, notAfter: string, attempts = 0): Found['failing'][number] => ({
  id,
  tenant: 'shop',
  host: null,
  authority: 'ca',
  profile: 'client',
  dnsNames: [],
  subject: { commonName: id },
  notAfter,
  autoRenew: attempts > 0,
  renewal: { at: null, attempts, lastError: attempts > 0 ? 'no' : null, nextAttempt: null },
})

const nothing: Found = { failing: [], unrenewed: [], hosts: [], clusters: [], authorities: [] }

test('what ends first presses most, and what is told once is not told twice', () => {
  const failing = [leaf('b', '2026-12-10T00:00:00Z', 2)]
  const unrenewed = [leaf('a', '2026-12-01T00:00:00Z'), leaf('b', '2026-12-10T00:00:00Z', 2)]
  const found = concerns({ ...nothing, failing, unrenewed }, now)
  assert.deepEqual(
    found.map(({ kind, name }) => [kind, name]),
    [
      ['ending', 'a'],
      ['renewal', 'b'],
    ],
  )
  assert.equal(found[1]?.why, 'Renewal failed 2 times: no')
})

test('where nothing is wrong, nothing is told', () => {
  assert.deepEqual(concerns(nothing, now), [])
})

test('a change of key tells what the step under way waits for', () => {
  const issuer = {
    id: '',
    serial: '',
    keyAlgorithm: 'ECDSA_P256' as const,
    spkiSha256: '',
    signedBy: null,
    notBefore: '',
    notAfter: '',
    fingerprintSha256: '',
    usages: [],
    revokedAt: null,
    revocationReason: null,
    pem: '',
  }
  const found = steps({
    authority: 'ca',
    step: 'leaves',
    since: '',
    startedAt: '',
    deadline: '',
    retiredBy: null,
    from: issuer,
    to: issuer,
    outstanding: { trust: [], hosts: 3, certificates: 0, held: [], authorities: ['below'] },
  })
  assert.deepEqual(
    found.map(({ state }) => state),
    ['done', 'now', 'later', 'later', 'later'],
  )
  assert.equal(found[1]?.waitsFor, 'Waits for 3 hosts to move over; the authorities below: below')
})

test('a span has a step for each day or week, weeks from Monday, also where nothing ends', () => {
  const told = [{ from: '2026-11-30T00:00:00.000Z', count: 5, renewing: 3 }]
  const days = stepsOf(told, { now, by: 'day', days: 10 })
  assert.equal(days.length, 11)
  assert.deepEqual(days[3], {
    from: new Date('2026-11-30T00:00:00Z'),
    to: new Date('2026-12-01T00:00:00Z'),
    renewing: 3,
    ending: 2,
  })
  const [first, second] = stepsOf(told, { now, by: 'week', days: 14 })
  assert.equal(first?.from.toISOString(), '2026-11-23T00:00:00.000Z')
  assert.equal(second?.ending, 2)
})
