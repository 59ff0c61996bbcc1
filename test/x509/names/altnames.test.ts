import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contextPrimitive, sequence } from '../../../src/x509/der/encoding.ts'
import {
  altNameFaults,
  countAltNames,
  dnsNameFault,
  emailFault,
  encodeAltNames,
  ipFault,
  noAltNames,
  readAltNames,
  uriFault,
} from '../../../src/x509/names/altnames.ts'
import { inRange, ipBytes, ipText, rangeBytes, rangeText } from '../../../src/x509/names/ip.ts'

const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`

const tables = [
  [
    'dNSName',
    dnsNameFault,
    [
      'example.com',
      '*.example.com',
      'localhost',
      'a-b.example',
      'xn--mnchen-3ya.de',
      '1.example',
      long,
    ],
    [
      '',
      'Example.com',
      'example.com.',
      '.example.com',
      'a..b',
      'a_b.example.com',
      '-a.example.com',
      'a-.example.com',
      `${'a'.repeat(64)}.example.com`,
      `${long}e`,
      'münchen.de',
      'xn--.de',
      'xn--a.de',
      'xn--MNCHEN-3ya.de',
      'ab--cd.example',
      '*',
      '*.com',
      '*.*.example.com',
      'a.*.example.com',
      'a*.example.com',
      '192.0.2.1',
      'a b.example',
      'a\u0000.example.com',
    ],
  ],
  [
    'IP address',
    ipFault,
    ['192.0.2.1', '::', '::1', '2001:db8::1', '1:2:3:4:5:6:7:8', '::ffff:192.0.2.1', '1::'],
    [
      '',
      '192.0.2',
      '192.0.2.256',
      '192.0.02.1',
      '1::2::3',
      ':::',
      '1:2:3:4:5:6:7',
      '12345::',
      'fe80::1%eth0',
      '::1.2.3',
      '1:2:3:4:5:6:7::8',
      'example.com',
    ],
  ],
  [
    'mail address',
    emailFault,
    ['a@example.com', "o'neil+x@sub.example.com", 'A@Example.com'],
    [
      'a',
      '@example.com',
      'a@',
      'a b@example.com',
      'ä@example.com',
      'a@*.example.com',
      '.a@example.com',
      'a@ex_ample.com',
    ],
  ],
  [
    'URI',
    uriFault,
    [
      'https://example.com/x',
      'spiffe://cluster.local/ns/a/sa/b',
      'https://Example.com:8443/x%20y?z=(1)#a',
      'urn:uuid:0198c2a0-0000-7000-8000-00000000000a',
    ],
    [
      'urn:uuid:0198C2A0-0000-7000-8000-00000000000A',
      'urn:uuid:0198c2a0',
      'example.com',
      '/x',
      'urn:x:y',
      'https://',
      'https://u:p@example.com/',
      'https://ä.example',
      'mailto:a@b.c',
      // One host to one reader, another to the next.
      'https://evil.test\\@example.com/',
      'https:///example.com/',
      'https://:@example.com/',
      'spiffe://@example.com/x',
      'https://secret%2eexample.com/',
      'https://example.com./',
      'https://example.com:/',
      'https://*.example.com/',
      'https://10.0.0.1/',
      'https://0x7f.1/',
      'https://[2001:db8::1]/',
      'https://xn--a.com/',
    ],
  ],
] as const

for (const [kind, fault, good, bad] of tables) {
  for (const name of good)
    test(`${JSON.stringify(name)} may be certified as ${kind}`, () =>
      assert.equal(fault(name), undefined))
  for (const name of bad)
    test(`${JSON.stringify(name)} is refused as ${kind}`, () =>
      assert.equal(typeof fault(name), 'string'))
}

for (const [text, canonical] of [
  ['192.0.2.1', '192.0.2.1'],
  ['2001:0DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['1:0:0:0:0:0:0:0', '1::'],
  ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ['10:0:0:10:0:0:0:1', '10:0:0:10::1'],
  ['0:0:1:0:0:0:0:20', '0:0:1::20'],
] as const)
  test(`the one spelling of ${text} is ${canonical}`, () => {
    const bytes = ipBytes(text)
    assert.ok(bytes)
    assert.equal(ipText(bytes), canonical)
  })

test('a range holds its addresses and no other', () => {
  const range = rangeBytes('10.1.0.0/16')
  assert.ok(range)
  assert.equal(rangeText(range), '10.1.0.0/16')
  const inside = (text: string) => inRange(ipBytes(text) ?? Buffer.alloc(0), range)
  assert.deepEqual(['10.1.2.3', '10.2.0.1', '::1'].map(inside), [true, false, false])
})

for (const text of ['10.0.0.1/8', '10.0.0.0', '10.0.0.0/33', '10.0.0.0/08', 'x/8', '::/129'])
  test(`${text} is no range`, () => assert.equal(rangeBytes(text), undefined))

for (const [octets, text, inside, outside] of [
  ['0a000001ff000000', '10.0.0.0/8', '10.9.9.9', '11.0.0.1'],
  ['0a0000ffffffff00', '10.0.0.0/24', '10.0.0.7', '10.0.1.7'],
  ['0a000700ff00ff00', '10.0.7.0/255.0.255.0', '10.99.7.1', '10.99.8.1'],
  ['0a63074fff00ff00', '10.0.7.0/255.0.255.0', '10.0.7.255', '11.0.7.1'],
  ['0000000100000001', '0.0.0.1/0.0.0.1', '8.8.8.9', '8.8.8.8'],
  ['ffffffff00000000', '0.0.0.0/0', '1.2.3.4', '::1'],
  [`fd00${'00'.repeat(13)}01ff${'00'.repeat(15)}`, 'fd00::/8', 'fd12::1', 'fe00::1'],
  [`fd00${'00'.repeat(14)}ffff${'00'.repeat(13)}01`, 'fd00::/ffff::1', 'fd00::2', 'fd00::3'],
] as const)
  test(`a range whose octets are ${octets} is ${text}`, () => {
    assert.equal(rangeText(Buffer.from(octets, 'hex')), text)
    const range = rangeBytes(text)
    assert.ok(range)
    const holds = (address: string) => inRange(ipBytes(address) ?? Buffer.alloc(0), range)
    assert.deepEqual([inside, outside].map(holds), [true, false])
  })

test('a range has 8 or 32 octets', () => {
  for (const length of [0, 4, 7, 9, 16, 31, 33]) {
    assert.equal(rangeText(Buffer.alloc(length)), undefined)
  }
})

test('the range of everything has an empty mask', () => {
  assert.equal(rangeText(Buffer.alloc(8)), '0.0.0.0/0')
  assert.equal(rangeText(Buffer.alloc(32)), '::/0')
})

test('alternative names come back as they were written', () => {
  const names = {
    dnsNames: ['example.com', '*.example.com'],
    ipAddresses: ['192.0.2.1', '2001:db8::1'],
    emailAddresses: ['a@example.com'],
    uris: ['spiffe://cluster.local/ns/a'],
  }
  assert.deepEqual(readAltNames(encodeAltNames(names)), { names, otherKinds: [] })
  assert.equal(countAltNames(names), 6)
  assert.deepEqual(altNameFaults(names), [])
})

test('names of other kinds are told, not dropped silently', () => {
  const der = sequence(
    contextPrimitive(2, Buffer.from('a.b')),
    contextPrimitive(8, Buffer.from([42])),
  )
  assert.deepEqual(readAltNames(der).otherKinds, ['registeredID'])
})

test('no names, a strange length of IP, or an octet above 7F is malformed', () => {
  for (const der of [
    encodeAltNames(noAltNames),
    sequence(contextPrimitive(7, Buffer.alloc(5))),
    sequence(contextPrimitive(2, Buffer.from([0xe4]))),
  ])
    assert.throws(() => readAltNames(der), { code: 'der-malformed' })
})

test('what DER cannot carry is refused when encoding', () => {
  const refused = { code: 'altname-invalid' }
  assert.throws(() => encodeAltNames({ ...noAltNames, dnsNames: ['ä'] }), refused)
  assert.throws(() => encodeAltNames({ ...noAltNames, ipAddresses: ['x'] }), refused)
})
