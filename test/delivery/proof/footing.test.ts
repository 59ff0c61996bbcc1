import assert from 'node:assert/strict'
import { test } from 'node:test'
import { footing, type Recorded } from '../../../src/delivery/proof/footing.ts'

const now = new Date('2026-06-01T00:00:00Z')
const day = 86_400_000
const at = (days: number) => new Date(now.getTime() + days * day)
const above = (from: number, to: number, revokedAt: Date | null = null) => ({
  authority: 'house',
  notBefore: at(from),
  notAfter: at(to),
  revokedAt,
})
const good: Recorded = {
  certificate: { status: 'active', notAfter: at(30) },
  above: [above(-1, 300), above(-1, 3000)],
  clients: { authority: 'people', trusted: [above(-1, 200)], listsEnd: [at(6)] },
}
const clients = (change: Partial<NonNullable<Recorded['clients']>>): Partial<Recorded> =>
  good.clients ? { clients: { ...good.clients, ...change } } : {}

test('what a host rests on holds until the first of it ends', () => {
  assert.deepEqual(footing(good, now), { faults: [], warnings: [], until: at(6) })
  const { clients: _, ...open } = good
  assert.deepEqual(footing(open, now).until, at(30))
  // As long as one key of the authority is trusted and holds, its clients are let in.
  const changed = { ...good, ...clients({ trusted: [above(-9, -1), above(-1, 20)], listsEnd: [] }) }
  assert.deepEqual(footing(changed, now), { faults: [], warnings: [], until: at(20) })
})

test('whatever has ended, has not begun or was revoked is a fault that says so', () => {
  const rows: readonly (readonly [Partial<Recorded>, RegExp])[] = [
    [
      { certificate: { status: 'active', notAfter: at(-1) } },
      /^Its certificate ended at 2026-05-31/,
    ],
    [{ certificate: { status: 'revoked', notAfter: at(1) } }, /^Its certificate was revoked/],
    [{ above: [above(-1, 300), above(-9, -1)] }, /that of the authority "house" ended at/],
    [{ above: [above(-1, 300, at(-1))] }, /that of the authority "house" was revoked at/],
    [{ above: [above(1, 300)] }, /that of the authority "house" is not valid before/],
    [
      clients({ trusted: [above(-9, -1)] }),
      /client authority "people" ended .* every client is refused/,
    ],
    [clients({ trusted: [above(1, 9)] }), /client authority "people" is not valid before/],
    [clients({ trusted: [above(-9, -1), above(1, 9)] }), /client authority "people"/],
    [clients({ trusted: [] }), /No key of "people" is trusted any more/],
    [
      clients({ listsEnd: [at(5), at(-1)] }),
      /list of "people" ended at .* every client is refused/,
    ],
  ]
  for (const [change, sentence] of rows) {
    const { faults } = footing({ ...good, ...change }, now)
    assert.equal(faults.length, 1, String(sentence))
    assert.match(faults[0] ?? '', sentence)
  }
})

test('a list that nobody has made anew is warned of a day before it ends', () => {
  const { faults, warnings } = footing({ ...good, ...clients({ listsEnd: [at(0.5)] }) }, now)
  assert.deepEqual(faults, [])
  assert.match(warnings[0] ?? '', /revocation list of "people" ends at 2026-06-01T12/)
})
