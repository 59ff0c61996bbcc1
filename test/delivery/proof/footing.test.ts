import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GivenLists } from '../../../src/authorities/crl/gateway.ts'
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
const lists = (ends: readonly Date[], more: Partial<GivenLists> = {}): GivenLists => ({
  ...{ ends, octets: 1000, keys: ['whole'], refused: [], overflow: 'refuse' },
  ...more,
})
const good: Recorded = {
  certificate: { status: 'active', notAfter: at(30) },
  above: [above(-1, 300), above(-1, 3000)],
  clients: { authority: 'people', trusted: [above(-1, 200)], lists: lists([at(6)]) },
}
const clients = (change: Partial<NonNullable<Recorded['clients']>>): Partial<Recorded> =>
  good.clients ? { clients: { ...good.clients, ...change } } : {}

test('what a host rests on holds until the first of it ends', () => {
  assert.deepEqual(footing(good, now), { faults: [], warnings: [], until: at(6), refused: [] })
  const { clients: _, ...open } = good
  assert.deepEqual(footing(open, now).until, at(30))
  // As long as one key of the authority is trusted and holds, its clients are let in.
  const changed = {
    ...good,
    ...clients({ trusted: [above(-9, -1), above(-1, 20)], lists: lists([]) }),
  }
  assert.deepEqual(footing(changed, now), { faults: [], warnings: [], until: at(20), refused: [] })
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
      clients({ lists: lists([at(5), at(-1)]) }),
      /list of "people" ended at .* every client is refused/,
    ],
    [
      clients({ lists: lists([], { octets: 2_000_000, keys: ['refused'] }) }),
      /has outgrown what the Secret of a gateway has room for: every client is refused\. Rotate/,
    ],
  ]
  for (const [change, sentence] of rows) {
    const { faults } = footing({ ...good, ...change }, now)
    assert.equal(faults.length, 1, String(sentence))
    assert.match(faults[0] ?? '', sentence)
  }
})

test('a list that nobody has made anew is warned of a day before it ends', () => {
  const { faults, warnings } = footing({ ...good, ...clients({ lists: lists([at(0.5)]) }) }, now)
  assert.deepEqual(faults, [])
  assert.match(warnings[0] ?? '', /revocation list of "people" ends at 2026-06-01T12/)
})

test('lists that come near what a Secret has room for are warned of, and what then happens', () => {
  const rows = [
    [{ octets: 600_000 }, []],
    [{ octets: 800_000 }, [/76 % .*; beyond it every client of that key is refused\. Rotate/]],
    [{ octets: 800_000, overflow: 'tell' }, [/76 % .*; beyond it gateways keep the last list/]],
    [{ octets: 1_200_000, keys: ['earlier'], overflow: 'tell' }, [/114 % .*: gateways keep/]],
    // Of two keys one still lets its clients in.
    [{ octets: 1_200_000, keys: ['refused', 'whole'] }, [/114 % .*: every client of that key/]],
  ] as const
  for (const [more, expected] of rows) {
    const { faults, warnings } = footing(
      { ...good, ...clients({ lists: lists([at(6)], more) }) },
      now,
    )
    assert.deepEqual(faults, [])
    assert.equal(warnings.length, expected.length, warnings.join())
    for (const [place, sentence] of expected.entries()) {
      assert.match(warnings[place] ?? '', sentence)
    }
  }
})
