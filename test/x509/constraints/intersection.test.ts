import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { constraintFaults } from '../../../src/x509/constraints/faults.ts'
import {
  emptyIntersections,
  intersection,
  spaceFaults,
  wideningFaults,
} from '../../../src/x509/constraints/intersection.ts'
import {
  type NameConstraints,
  noSubtrees,
  type Subtrees,
} from '../../../src/x509/constraints/subtrees.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { encodeName } from '../../../src/x509/names/distinguished.ts'
import { ipText, rangeText } from '../../../src/x509/names/ip.ts'

function permitting(permitted: Partial<Subtrees>): NameConstraints {
  return { permitted: { ...noSubtrees, ...permitted }, excluded: noSubtrees }
}

type Kind = 'dnsNames' | 'ipRanges' | 'emailAddresses' | 'uriHosts'

/** Does the first space lie inside the second? */
const rows: readonly (readonly [Kind, string, string, boolean])[] = [
  ['dnsNames', 'example.com', 'example.com', true],
  ['dnsNames', 'a.example.com', 'example.com', true],
  ['dnsNames', '.example.com', 'example.com', true],
  ['dnsNames', 'example.com', '.example.com', false],
  ['dnsNames', 'a.example.com', '.example.com', true],
  ['dnsNames', 'com', 'example.com', false],
  ['dnsNames', 'notexample.com', 'example.com', false],
  ['dnsNames', 'example.com', '', true],
  ['ipRanges', '10.1.0.0/16', '10.0.0.0/8', true],
  ['ipRanges', '10.0.0.0/8', '10.1.0.0/16', false],
  ['ipRanges', '10.0.0.0/8', '10.0.0.0/8', true],
  ['ipRanges', '11.0.0.0/16', '10.0.0.0/8', false],
  ['ipRanges', 'fd00::/16', 'fd00::/8', true],
  ['ipRanges', 'fd00::/16', '0.0.0.0/0', false],
  ['emailAddresses', 'a@example.com', 'example.com', true],
  ['emailAddresses', 'a@b.example.com', 'example.com', false],
  ['emailAddresses', 'b.example.com', '.example.com', true],
  ['emailAddresses', '.b.example.com', '.example.com', true],
  ['emailAddresses', 'example.com', 'a@example.com', false],
  ['uriHosts', 'example.com', 'example.com', true],
  ['uriHosts', 'a.example.com', 'example.com', false],
  ['uriHosts', 'a.example.com', '.example.com', true],
]

for (const [kind, space, other, inside] of rows)
  test(`${kind}: ${space || 'everything'} is ${inside ? '' : 'not '}inside ${other || 'everything'}`, () => {
    const faults = wideningFaults(permitting({ [kind]: [other] }), permitting({ [kind]: [space] }))
    assert.deepEqual(
      faults.map(({ field }) => field),
      inside ? [] : [`/permitted/${kind}/0`],
    )
  })

test('an authority that asks for nothing inherits everything', () => {
  const above = {
    permitted: {
      ...noSubtrees,
      dnsNames: ['example.com'],
      directoryNames: [encodeName({ organization: 'Example' })],
    },
    excluded: { ...noSubtrees, ipRanges: ['0.0.0.0/0'] },
  }
  assert.deepEqual(intersection(above, permitting({})), above)
  assert.deepEqual(intersection(permitting({}), above), above)
})

test('permitted spaces narrow, excluded ones add up', () => {
  const above = {
    permitted: { ...noSubtrees, dnsNames: ['example.com', 'a.test'] },
    excluded: { ...noSubtrees, dnsNames: ['x.example.com'] },
  }
  const own = {
    permitted: { ...noSubtrees, dnsNames: ['b.example.com', 'test'] },
    excluded: { ...noSubtrees, dnsNames: ['y.example.com'] },
  }
  assert.deepEqual(intersection(above, own), {
    permitted: { ...noSubtrees, dnsNames: ['b.example.com', 'a.test'] },
    excluded: { ...noSubtrees, dnsNames: ['x.example.com', 'y.example.com'] },
  })
})

test('a kind of which nothing would be left is named', () => {
  const above = permitting({ dnsNames: ['example.com'], uriHosts: ['example.com'] })
  const own = permitting({ dnsNames: ['other.test'], uriHosts: ['example.com'] })
  assert.deepEqual(emptyIntersections(above, own), ['dnsNames'])
  assert.deepEqual(emptyIntersections(above, permitting({})), [])
})

test('spaces that verifiers read differently are refused', () => {
  const bad: Partial<Subtrees> = {
    dnsNames: ['.example.com', '*.example.com', 'EXAMPLE.com', 'bad_name.test', 'good.test'],
    ipRanges: ['10.0.0.1/8', '10.0.0.0', '10.0.0.0/8', '10.0.0.0/255.0.255.0'],
    emailAddresses: ['a@b@', '.example.com', 'a@example.com'],
    uriHosts: ['https://example.com', '.example.com'],
  }
  assert.deepEqual(
    spaceFaults(permitting(bad)).map(({ field }) => field.replace('/permitted/', '')),
    ['dnsNames/0', 'dnsNames/1', 'dnsNames/2', 'dnsNames/3', 'ipRanges/0', 'ipRanges/1'].concat([
      'ipRanges/3',
      'emailAddresses/0',
      'uriHosts/0',
    ]),
  )
})

test('one certificate says what the whole path does, whatever the names', () => {
  const label = fc.constantFrom('a', 'b', 'c')
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
  const spaces = fc.array(host, { maxLength: 3 })
  const constraints = fc.record({ permitted: spaces, excluded: spaces }).map(
    ({ permitted, excluded }): NameConstraints => ({
      permitted: { ...noSubtrees, dnsNames: permitted },
      excluded: { ...noSubtrees, dnsNames: excluded },
    }),
  )
  fc.assert(
    fc.property(constraints, constraints, host, (above, own, name) => {
      if (emptyIntersections(above, own).length > 0) return
      const names = { ...noAltNames, dnsNames: [name] }
      const apart = constraintFaults(names, {}, above, own).length > 0
      const together = constraintFaults(names, {}, intersection(above, own)).length > 0
      assert.equal(together, apart)
    }),
    { numRuns: 2000 },
  )
})

test('two ranges have in common what lies in both, whatever their masks', () => {
  const octet = fc.nat(255)
  const half = fc.tuple(octet, octet, octet, octet).map((octets) => Buffer.from(octets))
  const range = fc
    .tuple(half, half)
    .map(([address, mask]) => rangeText(Buffer.concat([address, mask])) ?? '')
  const low = fc.nat(3).map((last) => Buffer.from([10, 0, 0, last]))
  const few = fc
    .tuple(low, low)
    .map(([address, mask]) => rangeText(Buffer.concat([address, mask])) ?? '')
  fc.assert(
    fc.property(
      fc.oneof(few, range),
      fc.oneof(few, range),
      fc.oneof(low, half),
      (a, b, address) => {
        const name = ipText(address) ?? ''
        const faults = (...all: readonly NameConstraints[]) =>
          constraintFaults({ ...noAltNames, ipAddresses: [name] }, {}, ...all).length > 0
        const [above, own] = [permitting({ ipRanges: [a] }), permitting({ ipRanges: [b] })]
        if (emptyIntersections(above, own).length > 0) assert.ok(faults(above, own))
        else assert.equal(faults(intersection(above, own)), faults(above, own))
      },
    ),
    { numRuns: 2000 },
  )
})
