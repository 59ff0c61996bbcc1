import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constraintFaults } from '../../../src/x509/constraints/faults.ts'
import {
  encodeConstraints,
  type NameConstraints,
  noSubtrees,
  readConstraints,
} from '../../../src/x509/constraints/subtrees.ts'
import { context, contextPrimitive, integer, sequence } from '../../../src/x509/der/encoding.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { encodeName } from '../../../src/x509/names/distinguished.ts'

type Kind = 'dns' | 'ip' | 'mail' | 'uri'

function asked(kind: Kind, name: string) {
  return {
    dns: { ...noAltNames, dnsNames: [name] },
    ip: { ...noAltNames, ipAddresses: [name] },
    mail: { ...noAltNames, emailAddresses: [name] },
    uri: { ...noAltNames, uris: [name] },
  }[kind]
}

function space(kind: Kind, value: string) {
  return {
    dns: { ...noSubtrees, dnsNames: [value] },
    ip: { ...noSubtrees, ipRanges: [value] },
    mail: { ...noSubtrees, emailAddresses: [value] },
    uri: { ...noSubtrees, uriHosts: [value] },
  }[kind]
}

/** RFC 5280 4.2.1.10: is the name within the space? And is it refused when the space is excluded? */
const rows: readonly (readonly [Kind, string, string, within: boolean, refused?: boolean])[] = [
  ['dns', 'example.com', 'example.com', true],
  ['dns', 'a.example.com', 'example.com', true],
  ['dns', 'a.b.example.com', 'example.com', true],
  ['dns', 'A.Example.COM', 'example.com', true],
  ['dns', 'notexample.com', 'example.com', false],
  ['dns', 'example.com.evil.test', 'example.com', false],
  ['dns', 'com', 'example.com', false],
  ['dns', 'example.com', '.example.com', false],
  ['dns', 'a.example.com', '.example.com', true],
  ['dns', 'a.test', '', true],
  ['dns', '*.example.com', 'example.com', true],
  ['dns', '*.example.com', 'secret.example.com', false, true],
  ['dns', '*.example.com', 'a.secret.example.com', false],
  ['ip', '10.1.2.3', '10.0.0.0/8', true],
  ['ip', '11.1.2.3', '10.0.0.0/8', false],
  ['ip', '10.1.2.3', '10.1.2.3/32', true],
  ['ip', '::ffff:10.1.2.3', '10.0.0.0/8', false],
  ['ip', 'fd00::1', 'fd00::/8', true],
  ['ip', 'fe00::1', 'fd00::/8', false],
  ['ip', '1.2.3.4', '0.0.0.0/0', true],
  ['mail', 'a@example.com', 'example.com', true],
  ['mail', 'a@b.example.com', 'example.com', false],
  ['mail', 'a@b.example.com', '.example.com', true],
  ['mail', 'a@example.com', '.example.com', false],
  ['mail', 'a@example.com', 'a@example.com', true],
  ['mail', 'A@example.com', 'a@example.com', false],
  ['mail', 'a@EXAMPLE.com', 'a@example.com', true],
  ['uri', 'https://example.com/x', 'example.com', true],
  ['uri', 'https://a.example.com:8443/x', 'example.com', false],
  ['uri', 'https://a.example.com/x', '.example.com', true],
  ['uri', 'spiffe://cluster.local/ns/a', 'cluster.local', true],
  ['uri', 'https://10.0.0.1/', 'example.com', false, true],
  ['uri', 'spiffe://[::1]/x', 'example.com', false, true],
]

for (const [kind, name, value, within, refused = within] of rows) {
  const names = asked(kind, name)
  test(`${name} is ${within ? '' : 'not '}within ${kind} ${JSON.stringify(value)}`, () => {
    const only = { permitted: space(kind, value), excluded: noSubtrees }
    assert.equal(constraintFaults(names, {}, only).length, within ? 0 : 1)
  })
  test(`${name} is ${refused ? '' : 'not '}refused where ${kind} ${JSON.stringify(value)} is excluded`, () => {
    const but = { permitted: noSubtrees, excluded: space(kind, value) }
    assert.equal(constraintFaults(names, {}, but).length, refused ? 1 : 0)
  })
}

test('excluded wins over permitted', () => {
  const constraints = {
    permitted: space('dns', 'example.com'),
    excluded: space('dns', 'a.example.com'),
  }
  assert.equal(constraintFaults(asked('dns', 'b.a.example.com'), {}, constraints).length, 1)
  assert.equal(constraintFaults(asked('dns', 'b.example.com'), {}, constraints).length, 0)
})

test('a kind without permitted spaces is free', () => {
  const constraints = { permitted: space('dns', 'example.com'), excluded: noSubtrees }
  assert.deepEqual(constraintFaults(asked('ip', '10.0.0.1'), {}, constraints), [])
})

test('along a chain the constraints of every authority hold', () => {
  const upper = { permitted: space('dns', 'example.com'), excluded: noSubtrees }
  const lower = { permitted: space('dns', 'a.example.com'), excluded: noSubtrees }
  const faults = (name: string) => constraintFaults(asked('dns', name), {}, upper, lower).length
  assert.deepEqual(['x.a.example.com', 'b.example.com', 'c.test'].map(faults), [0, 1, 2])
})

test('the subject’s host and mail count where there is no alternative name of the kind', () => {
  const constraints = {
    permitted: { ...space('dns', 'example.com'), emailAddresses: ['example.com'] },
    excluded: noSubtrees,
  }
  const subject = { commonName: 'shop.test', emailAddress: 'a@other.test' }
  assert.equal(constraintFaults(noAltNames, subject, constraints).length, 2)
  assert.deepEqual(constraintFaults(noAltNames, { commonName: 'Alice' }, constraints), [])
})

test('a subject lies within a directory name by its leading RDNs', () => {
  const example = encodeName({ country: 'DE', organization: 'Example  AG' })
  const directory = { ...noSubtrees, directoryNames: [example] }
  const only = { permitted: directory, excluded: noSubtrees }
  const but = { permitted: noSubtrees, excluded: directory }
  const inside = { country: 'DE', organization: 'example ag', commonName: 'x' }
  const outside = { country: 'DE', organization: 'Other', commonName: 'x' }
  const count = (subject: object, constraints: NameConstraints) =>
    constraintFaults(noAltNames, subject, constraints).length
  assert.deepEqual([count(inside, only), count(outside, only), count({}, only)], [0, 1, 0])
  assert.deepEqual([count(inside, but), count(outside, but), count({}, but)], [1, 0, 0])
})

test('constraints come back as they were written', () => {
  const constraints = {
    permitted: {
      dnsNames: ['example.com', ''],
      ipRanges: ['10.0.0.0/8', 'fd00::/8'],
      emailAddresses: ['example.com'],
      uriHosts: ['.example.com'],
      directoryNames: [encodeName({ organization: 'Example' })],
    },
    excluded: { ...noSubtrees, ipRanges: ['0.0.0.0/0', '::/0'] },
  }
  assert.deepEqual(readConstraints(encodeConstraints(constraints)), constraints)
})

test('host bits and holes of masks are read as every verifier reads them', () => {
  const range = (hex: string) => sequence(contextPrimitive(7, Buffer.from(hex, 'hex')))
  const read = readConstraints(
    sequence(context(1, range('0a000001ff000000'), range('ac101001ff00ff00'))),
  )
  assert.deepEqual(read.excluded.ipRanges, ['10.0.0.0/8', '172.0.16.0/255.0.255.0'])
  const refused = (name: string) => constraintFaults(asked('ip', name), {}, read).length > 0
  const names = ['10.200.0.1', '172.99.16.5', '172.99.17.5', '11.0.0.1']
  assert.deepEqual(names.map(refused), [true, true, false, false])
  assert.deepEqual(readConstraints(encodeConstraints(read)), read)
})

test('empty constraints and bad ranges are refused', () => {
  const refused = { code: 'altname-invalid' }
  assert.throws(() => encodeConstraints({ permitted: noSubtrees, excluded: noSubtrees }), refused)
  const bad = { ...noSubtrees, ipRanges: ['10.0.0.1/8'] }
  assert.throws(() => encodeConstraints({ permitted: bad, excluded: noSubtrees }), refused)
})

for (const [why, der] of [
  ['empty', sequence()],
  ['a minimum', sequence(context(0, sequence(contextPrimitive(2, Buffer.from('a')), integer(1))))],
  [
    'a range of a wrong length',
    sequence(context(0, sequence(contextPrimitive(7, Buffer.from('0a000000ff00', 'hex'))))),
  ],
  ['a third part', sequence(context(2))],
] as const)
  test(`constraints with ${why} are malformed`, () =>
    assert.throws(() => readConstraints(der), { code: 'der-malformed' }))
