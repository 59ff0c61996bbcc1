import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { constraintsExtension, extension } from '../../../src/x509/certificates/extensions.ts'
import { readRequest } from '../../../src/x509/certificates/request.ts'
import { noSubtrees } from '../../../src/x509/constraints/subtrees.ts'
import {
  bitString,
  derNull,
  octetString,
  readDer,
  sequence,
  setOf,
  tags,
  tlv,
} from '../../../src/x509/der/encoding.ts'
import { X509Error } from '../../../src/x509/der/errors.ts'
import { encodedOf, sequenceOf } from '../../../src/x509/der/fields.ts'
import { oid, oids } from '../../../src/x509/der/oids.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { generateKey } from '../../../src/x509/keys/generate.ts'
import { keyAlgorithms, spkiOf } from '../../../src/x509/keys/public.ts'
import { keySigner } from '../../../src/x509/keys/sign.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { ia5Name } from '../../../src/x509/names/generalnames.ts'
import { createRequest, type RequestInput } from '../../support/request.ts'
import { put, run, scratch } from '../support.ts'

const directory = scratch()
const keys = await generateKey('ECDSA_P256')
const refused = { code: 'request-refused' }

function made(over: Partial<RequestInput> = {}): Promise<Buffer> {
  return createRequest({
    subject: { commonName: 'shop.example' },
    altNames: { ...noAltNames, dnsNames: ['shop.example'] },
    spki: spkiOf(keys.publicKey),
    signer: keySigner(keys.privateKey),
    ...over,
  })
}

for (const algorithm of keyAlgorithms)
  test(`openssl verifies a request by an ${algorithm} key, and so do we`, async () => {
    const pair = await generateKey(algorithm)
    const der = await made({ spki: spkiOf(pair.publicKey), signer: keySigner(pair.privateKey) })
    const told = run('openssl', ['req', '-inform', 'DER', '-verify', '-noout', '-text'], der).text
    assert.match(told, /verify OK/)
    assert.match(told, /DNS:shop\.example/)
    assert.equal(readRequest(der).keyAlgorithm, algorithm)
  })

test('everything a request asks for is told', async () => {
  const asks = {
    ca: true,
    keyUsage: ['keyCertSign'],
    extendedKeyUsage: [oids.anyExtendedKeyUsage],
  } as const
  const read = readRequest(toPem('CERTIFICATE REQUEST', await made({ asks })))
  assert.equal(read.subject.commonName, 'shop.example')
  assert.deepEqual(read.altNames.dnsNames, ['shop.example'])
  assert.deepEqual(read.asks, asks)
  assert.deepEqual(read.spki, spkiOf(keys.publicKey))
  assert.equal(read.requestedExtensions.length, 4)
})

test('a request without extensions asks for nothing', async () => {
  const read = readRequest(await made({ altNames: noAltNames }))
  assert.deepEqual(read.altNames, noAltNames)
  assert.deepEqual(read.asks, { ca: false, keyUsage: [], extendedKeyUsage: [] })
})

for (const [why, der] of [
  [
    'name constraints',
    constraintsExtension({
      permitted: { ...noSubtrees, dnsNames: ['x'] },
      excluded: noSubtrees,
    }),
  ],
  ['a critical extension we do not know', extension('1.2.3.4', true, derNull)],
] as const)
  test(`a request for ${why} is refused`, async () => {
    const der2 = await made({ extensions: [der] })
    assert.throws(() => readRequest(der2), refused)
  })

const shop = sequence(oid(oids.subjectAltName), octetString(sequence(ia5Name('dns', 'b.example'))))
const attribute = (type: string, ...values: readonly Buffer[]) =>
  sequence(oid(type), setOf(...values))
const text = (value: string) => tlv(tags.utf8String, Buffer.from(value))

test('names that Microsoft’s tools ask for are read', async () => {
  const attributes = [attribute(oids.microsoftExtensions, sequence(shop))]
  const read = readRequest(await made({ altNames: noAltNames, attributes }))
  assert.deepEqual(read.altNames.dnsNames, ['b.example'])
})

test('what names nobody is passed over', async () => {
  const attributes = [
    attribute(oids.challengePassword, text('secret')),
    attribute(oids.microsoftOsVersion, text('10.0.1')),
    attribute(oids.microsoftClientInfo, sequence(text('host'))),
  ]
  assert.deepEqual(readRequest(await made({ attributes })).altNames.dnsNames, ['shop.example'])
})

for (const [why, attributes, code] of [
  [
    'a second extensionRequest',
    [attribute(oids.extensionRequest, sequence(shop))],
    'der-malformed',
  ],
  [
    'extensions in both attributes',
    [attribute(oids.microsoftExtensions, sequence(shop))],
    'der-malformed',
  ],
  ['an attribute without a value', [attribute(oids.challengePassword)], 'der-malformed'],
  [
    'the same attribute twice',
    [attribute(oids.challengePassword, text('a')), attribute(oids.challengePassword, text('b'))],
    'der-malformed',
  ],
] as const)
  test(`a request with ${why} is refused`, async () => {
    const der = await made({ attributes })
    assert.throws(() => readRequest(der), { code })
  })

test('wishes that are not granted are told by name: attributes, and extensions that are not critical', async () => {
  const attributes = [
    attribute(oids.unstructuredName, text('b.example')),
    attribute('1.2.3.4', text('b.example')),
  ]
  const extensions = [
    extension('1.2.840.113549.1.9.15', false, sequence()),
    extension('2.16.840.1.113730.1.13', false, text('made by us')),
    extension('1.2.3.5', false, derNull),
  ]
  const read = readRequest(await made({ attributes, extensions }))
  assert.deepEqual(read.wishes, [
    'unstructuredName (1.2.840.113549.1.9.2)',
    '1.2.3.4',
    'SMIMECapabilities (1.2.840.113549.1.9.15)',
    'nsComment (2.16.840.1.113730.1.13)',
    '1.2.3.5',
  ])
  assert.deepEqual(read.altNames.dnsNames, ['shop.example'])
})

test('an extension that appears twice is refused', async () => {
  const der = await made({ extensions: [shop] })
  assert.throws(() => readRequest(der), { code: 'der-malformed' })
})

test('an RSA request without parameters of its signature is read (RFC 4055 5)', async () => {
  const pair = await generateKey('RSA_2048')
  const signer = keySigner(pair.privateKey)
  const info = sequenceOf(
    readDer(await made({ spki: spkiOf(pair.publicKey), signer })),
    'a request',
  )[0]
  assert.ok(info)
  const bytes = encodedOf(info)
  const der = sequence(bytes, sequence(oid(oids.rsaSha256)), bitString(await signer.sign(bytes)))
  assert.equal(readRequest(der).keyAlgorithm, 'RSA_2048')
})

test('a request signed by another key is refused', async () => {
  const der = await made({ spki: spkiOf((await generateKey('ECDSA_P256')).publicKey) })
  assert.throws(() => readRequest(der), refused)
})

test('names of other kinds are told', async () => {
  const config = put(
    directory,
    'req.cnf',
    '[req]\ndistinguished_name=d\nreq_extensions=e\n[d]\n[e]\nsubjectAltName=DNS:a.example,otherName:1.2.3;UTF8:x\n',
  )
  const args = [
    'req',
    '-new',
    '-newkey',
    'ed25519',
    '-nodes',
    '-keyout',
    '/dev/null',
    '-subj',
    '/CN=a',
  ]
  const pem = run('openssl', [...args, '-config', config]).out.toString()
  assert.deepEqual(readRequest(pem).otherAltNameKinds, ['otherName'])
})

for (const [digest, good] of [
  ['sha1', false],
  ['md5', false],
  ['sha256', true],
  ['sha512', true],
] as const)
  test(`a request signed with ${digest} is ${good ? 'read' : 'refused'}`, () => {
    const args = ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null']
    const pem = run('openssl', [...args, '-subj', '/CN=a.example', `-${digest}`]).out.toString()
    if (good) assert.equal(readRequest(pem).subject.commonName, 'a.example')
    else assert.throws(() => readRequest(pem), refused)
  })

test('the old NEW CERTIFICATE REQUEST label is read', async () => {
  const der = await made()
  assert.ok(readRequest(Buffer.from(toPem('NEW CERTIFICATE REQUEST', der))).spki)
  assert.equal(readPem(toPem('CERTIFICATE REQUEST', der)).length, 1)
})

test('two requests in one text, or a huge one, are refused', async () => {
  const pem = toPem('CERTIFICATE REQUEST', await made())
  assert.throws(() => readRequest(pem + pem), { code: 'pem-too-large' })
  assert.throws(() => readRequest(sequence(Buffer.alloc(1 << 16))), { code: 'der-malformed' })
})

test('a damaged request is refused with an error of ours', async () => {
  const der = await made()
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(der)
      damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at)
      assert.throws(() => readRequest(damaged), X509Error)
    }),
    { numRuns: 1500 },
  )
})
