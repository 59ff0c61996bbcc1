import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  integer,
  listElements,
  namedBits,
  octetString,
  readDer,
  sequence,
  setOf,
  tlv,
} from '../../../src/x509/der/encoding.ts'
import { X509Error } from '../../../src/x509/der/errors.ts'
import {
  bitsOf,
  booleanOf,
  contentsOf,
  numberOf,
  unsignedOf,
} from '../../../src/x509/der/fields.ts'
import { oid, oidOf } from '../../../src/x509/der/oids.ts'
import { encodeTime, timeOf } from '../../../src/x509/der/time.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const malformed = { name: 'X509Error', code: 'der-malformed' }

for (const [value, der] of [
  [0, '020100'],
  [127, '02017f'],
  [128, '02020080'],
  [65537, '0203010001'],
] as const)
  test(`the integer ${value} is written minimally and read back`, () => {
    assert.equal(integer(value).toString('hex'), der)
    assert.equal(numberOf(contentsOf(readDer(hex(der))), 'it'), value)
  })

test('a magnitude with its high bit set stays positive', () => {
  assert.equal(integer(hex('0000ff01')).toString('hex'), '020300ff01')
  assert.equal(unsignedOf(readDer(hex('020300ff01')), 'it').toString('hex'), 'ff01')
})

for (const [length, head] of [
  [127, '047f'],
  [128, '048180'],
  [255, '0481ff'],
  [256, '04820100'],
  [65536, '0483010000'],
] as const)
  test(`a length of ${length} takes its shortest form`, () => {
    const der = octetString(Buffer.alloc(length))
    assert.equal(der.toString('hex', 0, head.length / 2), head)
    assert.equal(contentsOf(readDer(der)).length, length)
  })

for (const [why, der] of [
  ['nothing at all', ''],
  ['a tag without length', '30'],
  ['an indefinite length', '3080 0000'],
  ['a long form for a short length', '04810101'],
  ['a padded length', '0482000101'],
  ['a length of five octets', '0485000000000100'],
  ['contents cut short', '040301'],
  ['bytes after the end', '0500 00'],
  ['a child that runs past its parent', '3003 0402ff'],
  ['a high tag number', '1f8101 00'],
  ['an end-of-contents octet', '0000'],
] as const)
  test(`${why} is refused`, () => assert.throws(() => readDer(hex(der)), malformed))

for (const [why, der] of [
  ['a negative integer', '0201ff'],
  ['an empty integer', '0200'],
  ['a padded integer', '02020001'],
] as const)
  test(`${why} is refused`, () =>
    assert.throws(() => unsignedOf(readDer(hex(der)), 'it'), malformed))

test('a boolean is 00 or FF', () => {
  assert.equal(booleanOf(readDer(hex('0101ff'))), true)
  assert.throws(() => booleanOf(readDer(hex('010101'))), malformed)
})

test('nesting is bounded', () => {
  let der: Buffer = Buffer.alloc(0)
  for (let i = 0; i < 100; i++) der = sequence(der)
  assert.throws(() => readDer(der), malformed)
})

test('the number of elements is bounded', () => {
  const der = tlv(0x30, Buffer.alloc(100_000, hex('0500')))
  assert.throws(() => readDer(der), malformed)
  assert.equal([...listElements(der, 5, der.length)].length, 50_000)
})

test('a set is written in the order of its encodings', () => {
  assert.equal(setOf(integer(2), integer(1)).toString('hex'), '3106020101020102')
})

test('named bits lose their trailing zeros and come back', () => {
  assert.equal(namedBits([0, 2]).toString('hex'), '030205a0')
  assert.equal(namedBits([]).toString('hex'), '030100')
  assert.equal(namedBits([8]).toString('hex'), '0303070080')
  assert.deepEqual(bitsOf(hex('05a0'), 'it'), [0, 2])
  assert.throws(() => bitsOf(hex('05a1'), 'it'), malformed)
})

for (const [dotted, der] of [
  ['1.2.840.113549.1.1.11', '06092a864886f70d01010b'],
  ['2.999.3', '0603883703'],
  ['2.5.29.17', '0603551d11'],
] as const)
  test(`object identifier ${dotted} is written and read back`, () => {
    assert.equal(oid(dotted).toString('hex'), der)
    assert.equal(oidOf(readDer(hex(der)), 'it'), dotted)
  })

for (const dotted of ['', '1', '3.1', '1.40', '1.2.03', 'a.b'])
  test(`"${dotted}" is no object identifier`, () =>
    assert.throws(() => oid(dotted), { code: 'value-invalid' }))

for (const [iso, der] of [
  ['2049-12-31T23:59:59Z', '170d3439313233313233353935395a'],
  ['2050-01-01T00:00:00Z', '180f32303530303130313030303030305a'],
  ['1999-02-28T01:02:03Z', '170d3939303232383031303230335a'],
  ['2028-02-29T00:00:00Z', '170d3238303232393030303030305a'],
] as const)
  test(`${iso} is written as RFC 5280 wants and read back`, () => {
    assert.equal(encodeTime(new Date(iso)).toString('hex'), der)
    assert.equal(timeOf(readDer(hex(der)), 'it').toISOString(), iso.replace('Z', '.000Z'))
  })

test('milliseconds are cut, not rounded', () => {
  const cut = encodeTime(new Date('2030-01-01T00:00:00.999Z'))
  assert.deepEqual(cut, encodeTime(new Date('2030-01-01T00:00:00Z')))
})

for (const iso of ['', '0999-12-31T23:59:59Z', '+010000-01-01T00:00:00Z'])
  test(`the date "${iso}" is not written`, () =>
    assert.throws(() => encodeTime(new Date(iso)), { code: 'value-invalid' }))

for (const text of [
  '300230000000Z',
  '301301000000Z',
  '300101240000Z',
  '300101006000Z',
  '300101000060Z',
  '3001010000Z',
  '300101000000+0000',
  '300101000000.5Z',
])
  test(`UTCTime ${text} is refused`, () =>
    assert.throws(() => timeOf(readDer(tlv(0x17, Buffer.from(text))), 'it'), malformed))

test('any bytes are read, or refused as malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        const element = readDer(Buffer.from(bytes))
        assert.equal(element.end, bytes.length)
      } catch (error) {
        assert.ok(error instanceof X509Error && error.code === 'der-malformed')
      }
    }),
    { numRuns: 3000 },
  )
})
