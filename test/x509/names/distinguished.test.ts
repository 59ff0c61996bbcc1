import assert from 'node:assert/strict'
import { test } from 'node:test'
import { context, sequence, setOf, tlv } from '../../../src/x509/der/encoding.ts'
import { oid } from '../../../src/x509/der/oids.ts'
import { type DistinguishedName, subjectFaults } from '../../../src/x509/names/attributes.ts'
import { encodeName, formatName, readName } from '../../../src/x509/names/distinguished.ts'

const full: DistinguishedName = {
  domainComponents: ['com', 'example'],
  street: 'Hauptstraße 1',
  title: 'Dr.',
  givenName: 'Jürgen',
  surname: 'Łukasz-Öztürk',
  userId: 'jürgen',
  country: 'DE',
  state: 'Berlin',
  locality: 'Berlin',
  organization: 'Größe & Söhne',
  organizationalUnit: 'PKI',
  commonName: 'shop.example',
  serialNumber: 'A-1',
  emailAddress: 'pki@example.com',
}

test('a name comes back as it was written', () => {
  const { others, ...read } = readName(encodeName(full))
  assert.deepEqual(read, full)
  assert.deepEqual(others, [])
  const units = { organizationalUnit: 'one', organizationalUnits: ['one', 'two', 'one'] }
  assert.deepEqual(readName(encodeName({ ...full, ...units })), { ...full, ...units, others: [] })
  assert.deepEqual(readName(encodeName({ organizationalUnits: ['one', 'two'] })), {
    ...{ organizationalUnit: 'one', organizationalUnits: ['one', 'two'], others: [] },
  })
  assert.equal(
    formatName({ ...full, ...units }),
    'emailAddress=pki@example.com,serialNumber=A-1,UID=jürgen,CN=shop.example,SN=Łukasz-Öztürk,GN=Jürgen,title=Dr.,OU=one,OU=two,OU=one,O=Größe & Söhne,STREET=Hauptstraße 1,L=Berlin,ST=Berlin,C=DE,DC=example,DC=com',
  )
})

for (const [why, name] of [
  ['a common name of 65 characters', { commonName: 'a'.repeat(65) }],
  ['an organization of 65 characters', { organization: 'ü'.repeat(65) }],
  ['a country in small letters', { country: 'de' }],
  ['a country of three letters', { country: 'DEU' }],
  ['a control character', { commonName: 'a\u0000b' }],
  ['an empty attribute', { commonName: ' ' }],
  ['a serial number outside PrintableString', { serialNumber: 'ä' }],
  ['a mail address outside IA5String', { emailAddress: 'ä@example.com' }],
  ['a domain component that is no label', { domainComponents: ['example.com'] }],
  ['a domain component of other letters', { domainComponents: ['größe'] }],
  ['a domain component of 64 characters', { domainComponents: ['a'.repeat(64)] }],
  ['seventeen units', { organizationalUnits: Array.from({ length: 17 }, String) }],
  ['two words for the first unit', { organizationalUnit: 'a', organizationalUnits: ['b', 'a'] }],
  ['a user id of 257 characters', { userId: 'u'.repeat(257) }],
  ['half a surrogate pair', { commonName: 'a\ud800' }],
] as const)
  test(`${why} is refused`, () => {
    assert.equal(subjectFaults(name).length, 1)
    assert.throws(() => encodeName(name), { code: 'name-invalid' })
  })

test('bounds count characters, not bytes', () => {
  const name = { commonName: '😀'.repeat(64), organization: 'ü'.repeat(64) }
  assert.equal(readName(encodeName(name)).commonName, name.commonName)
})

test('all faults of a name come together', () => {
  assert.equal(subjectFaults({ country: 'x', commonName: '' }).length, 2)
})

test('repeated and foreign attributes are kept apart', () => {
  const attribute = (type: string, text: string) =>
    setOf(sequence(oid(type), tlv(0x0c, Buffer.from(text))))
  const name = readName(
    sequence(
      attribute('0.9.2342.19200300.100.1.25', 'test'),
      attribute('2.5.4.11', 'One'),
      attribute('2.5.4.11', 'Two'),
      attribute('2.5.4.3', 'One'),
      attribute('2.5.4.3', 'Two'),
      attribute('1.2.3.4', 'x'),
    ),
  )
  assert.equal(name.organizationalUnit, 'One')
  assert.deepEqual(name.organizationalUnits, ['One', 'Two'])
  assert.deepEqual(name.domainComponents, ['test'])
  assert.equal(name.commonName, 'One')
  assert.deepEqual(
    name.others.map(({ oid, text }) => [oid, text]),
    [
      ['2.5.4.3', 'Two'],
      ['1.2.3.4', 'x'],
    ],
  )
  assert.equal(formatName(name), 'CN=One,OU=Two,OU=One,DC=test,1.2.3.4=#0c0178,CN=Two')
})

test('a name is formatted by RFC 4514', () => {
  const name = { commonName: ' a,b+"c" #', organization: '#x;<y>\\ ' }
  assert.equal(formatName(name), 'CN=\\ a\\,b\\+\\"c\\" #,O=\\#x\\;\\<y\\>\\\\\\ ')
})

for (const [why, der] of [
  ['a name that is not a sequence', context(0)],
  ['an empty RDN', sequence(tlv(0x31))],
  ['an attribute without value', sequence(setOf(sequence(oid('2.5.4.3'))))],
] as const)
  test(`${why} is malformed`, () => assert.throws(() => readName(der), { code: 'der-malformed' }))
