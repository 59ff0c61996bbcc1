import assert from 'node:assert/strict'
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  generatePrimeSync,
  hash,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { test } from 'node:test'
import { canonicalSerial, serialFrom } from '../../../src/x509/certificates/serial.ts'
import { bitString, derNull, integer, readDer, sequence } from '../../../src/x509/der/encoding.ts'
import { encodedOf, octetsOf } from '../../../src/x509/der/fields.ts'
import { oid, oids } from '../../../src/x509/der/oids.ts'
import { generateEncodedKey, generateKey } from '../../../src/x509/keys/generate.ts'
import {
  certifiedSpki,
  keyAlgorithmOf,
  keyAlgorithms,
  keyIdentifier,
  spkiOf,
  weakKeyFault,
} from '../../../src/x509/keys/public.ts'
import { keySigner, signatureAlgorithmOf, verifies } from '../../../src/x509/keys/sign.ts'
import { opensslBytes } from '../../support/openssl.ts'

function bytesOf(n: bigint): Buffer {
  const hex = n.toString(16)
  return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
}

function rsaSpki(modulus: bigint, exponent = 65537): Buffer {
  const key = sequence(integer(bytesOf(modulus)), integer(exponent))
  return sequence(sequence(oid(oids.rsaEncryption), derNull), bitString(key))
}

function compressed(key: KeyObject): Buffer {
  const bits = octetsOf(readDer(spkiOf(key)).children[1], 'key')
  const point = Buffer.concat([Buffer.from([2 + (bits.readUInt8(64) & 1)]), bits.subarray(1, 33)])
  return sequence(sequence(oid(oids.ecPublicKey), oid(oids.p256)), bitString(point))
}

const modulus = (1n << 2047n) + 1n

function spkiFromOpenssl(
  type: 'ec' | 'rsa' | 'ed448' | 'x25519',
  size: string | number = 0,
): Buffer {
  const encoding = { type: 'spki', format: 'der' } as const
  if (type === 'ec')
    return generateKeyPairSync('ec', { namedCurve: String(size) }).publicKey.export(encoding)
  if (type === 'rsa')
    return generateKeyPairSync('rsa', { modulusLength: Number(size) }).publicKey.export(encoding)
  if (type === 'ed448') return generateKeyPairSync('ed448').publicKey.export(encoding)
  return generateKeyPairSync('x25519').publicKey.export(encoding)
}

test('P-256 keys are written down as OpenSSL writes them, also those that begin with zeros', async () => {
  for (let count = 0; count < 2000; count++) {
    const { pkcs8, spki } = await generateEncodedKey('ECDSA_P256')
    const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    assert.deepEqual(key.export({ format: 'der', type: 'pkcs8' }), pkcs8)
    assert.deepEqual(spkiOf(key), spki)
  }
})

for (const algorithm of keyAlgorithms)
  test(`a fresh ${algorithm} key is known, sound, and its signature verifies`, async () => {
    const { privateKey, publicKey } = await generateKey(algorithm)
    const spki = spkiOf(publicKey)
    assert.deepEqual(spkiOf(privateKey), spki)
    assert.equal(keyAlgorithmOf(spki), algorithm)
    assert.equal(weakKeyFault(spki), undefined)
    const signer = keySigner(privateKey)
    assert.equal(signer.algorithm, algorithm)
    const bytes = randomBytes(100)
    const signature = await signer.sign(bytes)
    const signed = { bytes, algorithm: readDer(signatureAlgorithmOf(algorithm)), signature }
    assert.ok(verifies(signed, spki))
    assert.ok(!verifies({ ...signed, bytes: randomBytes(100) }, spki))
    assert.ok(!verifies(signed, spkiOf((await generateKey('ECDSA_P256')).publicKey)))
  })

for (const [why, spki] of [
  ['P-521', spkiFromOpenssl('ec', 'P-521')],
  ['secp256k1', spkiFromOpenssl('ec', 'secp256k1')],
  ['RSA of 1024 bits', spkiFromOpenssl('rsa', 1024)],
  ['RSA of 2056 bits', spkiFromOpenssl('rsa', 2056)],
  ['Ed448', spkiFromOpenssl('ed448')],
  ['X25519, which cannot sign', spkiFromOpenssl('x25519')],
  ['rubbish', Buffer.from('3003020100', 'hex')],
] as const)
  test(`a key of ${why} is refused`, () => assert.match(weakKeyFault(spki) ?? '', /none of/))

for (const [why, spki] of [
  [
    'RSA parameters that are not NULL',
    sequence(sequence(oid(oids.rsaEncryption)), bitString(Buffer.from('3003020103', 'hex'))),
  ],
  [
    'something after the key',
    sequence(...readDer(rsaSpki(modulus)).children.map(encodedOf), derNull),
  ],
  [
    'explicit curve parameters',
    sequence(sequence(oid(oids.ecPublicKey), sequence()), bitString(Buffer.alloc(65, 4))),
  ],
  ['a compressed point', compressed(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)],
] as const)
  test(`a key with ${why} is refused`, () => assert.match(weakKeyFault(spki) ?? '', /none of/))

test('a signer is refused for a key we do not certify', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-224' })
  assert.throws(() => keySigner(privateKey), { code: 'key-unsupported' })
})

test('a point that is not on its curve is refused', async () => {
  const spki = Buffer.from(spkiOf((await generateKey('ECDSA_P256')).publicKey))
  spki.writeUInt8(spki.readUInt8(spki.length - 1) ^ 1, spki.length - 1)
  assert.match(weakKeyFault(spki) ?? '', /not a valid key/)
})

test('an Ed25519 point of small order is refused', () => {
  const spki = sequence(
    sequence(oid(oids.ed25519)),
    bitString(Buffer.from(`01${'00'.repeat(31)}`, 'hex')),
  )
  assert.match(weakKeyFault(spki) ?? '', /small order/)
})

const prime = (bits: number) => generatePrimeSync(bits, { bigint: true })

test('an exponent other than 65537 is refused', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })
  assert.match(weakKeyFault(spkiOf(publicKey)) ?? '', /65537/)
})

test('a modulus with a small factor is refused', () => {
  let n = prime(2038) * 1009n
  while (n.toString(2).length < 2048) n = n + prime(2038) * 1009n * 2n
  assert.match(weakKeyFault(rsaSpki(n)) ?? '', /small prime factor/)
})

test('primes too close together are found by Fermat', () => {
  let p = prime(1024)
  while ((p * p).toString(2).length < 2048) p = prime(1024)
  let q = p + 2n
  while (!isProbablePrime(q)) q += 2n
  assert.match(weakKeyFault(rsaSpki(p * q)) ?? '', /close together/)
})

function isProbablePrime(n: bigint): boolean {
  return [3n, 5n, 7n, 11n, 13n].every((small) => n % small !== 0n) && power(2n, n - 1n, n) === 1n
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  let square = base % modulus
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

test('the fingerprint of the Infineon generator is recognised', () => {
  let primorial = 1n
  for (let n = 2n; n <= 701n; n++) if (isSmallPrime(n)) primorial *= n
  const k = BigInt(`0x${'c'.repeat(512)}`) / primorial
  const n = k * primorial + power(65537n, 123456789n, primorial)
  assert.equal(n.toString(2).length, 2048)
  assert.match(weakKeyFault(rsaSpki(n)) ?? '', /ROCA|small prime factor/)
  assert.match(weakKeyFault(rsaSpki(roca(k, primorial))) ?? '', /ROCA/)
})

/** A ROCA modulus without factors below 3000, as a real one has none. */
function roca(start: bigint, primorial: bigint): bigint {
  for (let k = start; ; k += 1n) {
    const n = k * primorial + power(65537n, 987654321n, primorial)
    let clean = true
    for (let p = 703n; p < 3000n && clean; p += 2n) clean = n % p !== 0n
    if (clean) return n
  }
}

function isSmallPrime(n: bigint): boolean {
  for (let d = 2n; d * d <= n; d++) if (n % d === 0n) return false
  return true
}

test('a key identifier is SHA-256 of the key bits, cut to 160 bits', async () => {
  const spki = spkiOf((await generateKey('ECDSA_P256')).publicKey)
  const bits = octetsOf(readDer(spki).children[1], 'key')
  assert.equal(keyIdentifier(spki).toString('hex'), hash('sha256', bits).slice(0, 40))
  assert.equal(bits.length, 65)
  assert.ok(createPublicKey({ key: spki, format: 'der', type: 'spki' }))
})

for (const length of [16, 18, 20])
  test(`a serial of ${length} octets is positive and of constant length`, () => {
    for (const fill of [0x00, 0xff, 0x80]) {
      const serial = serialFrom(Buffer.alloc(length, fill))
      assert.equal(serial.length, length * 2)
      assert.ok(Number.parseInt(serial.slice(0, 2), 16) >= 0x40)
      assert.ok(Number.parseInt(serial.slice(0, 2), 16) < 0x80)
    }
  })

test('a serial keeps at least 120 bits of the randomness given', () => {
  const kept = (octet: number) =>
    new Set(
      Array.from({ length: 256 }, (_, value) => {
        const random = Buffer.alloc(16)
        random[octet] = value
        return serialFrom(random)
      }),
    ).size
  const bits = Array.from({ length: 16 }, (_, octet) => Math.log2(kept(octet)))
  assert.ok(bits.reduce((sum, one) => sum + one, 0) >= 120)
})

for (const length of [0, 15, 21])
  test(`a serial is not made of ${length} octets`, () =>
    assert.throws(() => serialFrom(Buffer.alloc(length)), { code: 'serial-invalid' }))

for (const [text, canonical] of [
  ['0A:bC', '0abc'],
  ['abc', '0abc'],
  ['0x00ABC', '0abc'],
  ['00:ab:cd', 'abcd'],
  [' ab cd ', 'abcd'],
  ['0', '00'],
  ['0000', '00'],
  ['00ff', 'ff'],
  ['', undefined],
  ['-1', undefined],
  ['xyz', undefined],
  [':', undefined],
  ['f'.repeat(60), undefined],
] as const)
  test(`the serial ${JSON.stringify(text)} is spelt ${canonical}`, () =>
    assert.equal(canonicalSerial(text), canonical))

for (const [what, parameters, good] of [
  ['NULL, as we write them,', [derNull], true],
  ['absent', [], true],
  ['an empty SEQUENCE', [sequence()], false],
  ['NULL twice', [derNull, derNull], false],
] as const)
  test(`an RSA signature whose parameters are ${what} is ${good ? 'verified' : 'not'} (RFC 4055 5)`, async () => {
    const { privateKey, publicKey } = await generateKey('RSA_2048')
    const bytes = randomBytes(64)
    const signature = await keySigner(privateKey).sign(bytes)
    const algorithm = readDer(sequence(oid(oids.rsaSha256), ...parameters))
    assert.equal(verifies({ bytes, algorithm, signature }, spkiOf(publicKey)), good)
  })

test('an identifier of one kind of key does not verify by another', async () => {
  const { privateKey, publicKey } = await generateKey('ECDSA_P256')
  const bytes = randomBytes(64)
  const signature = await keySigner(privateKey).sign(bytes)
  for (const type of [oids.rsaSha256, oids.ed25519]) {
    const algorithm = readDer(sequence(oid(type)))
    assert.ok(!verifies({ bytes, algorithm, signature }, spkiOf(publicKey)))
  }
})

test('a key is one key however its parameters, its purpose or its point are written', () => {
  for (const [namedCurve, curve] of [
    ['P-256', 'prime256v1'],
    ['P-384', 'secp384r1'],
  ] as const) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve })
    const spki = spkiOf(publicKey)
    const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const args = ['pkey', '-in', 'k.pem', '-pubout', '-outform', 'DER']
    for (const more of [
      ['-ec_conv_form', 'compressed'],
      ['-ec_conv_form', 'hybrid'],
      ['-ec_param_enc', 'explicit'],
    ]) {
      const written = [...args, ...more, '-out', 'k.der']
      const other = opensslBytes(written, { 'k.pem': pem }, 'k.der')
      assert.ok(!other.equals(spki), curve)
      assert.deepEqual(certifiedSpki(other), spki, `${curve} ${more.join(' ')}`)
    }
    assert.deepEqual(certifiedSpki(spki), spki)
  }
  const rsa = spkiOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey)
  const bits = bitString(octetsOf(readDer(rsa).children[1], 'key'))
  for (const algorithm of [
    sequence(oid(oids.rsaEncryption)),
    sequence(oid(oids.rsassaPss)),
    sequence(oid(oids.rsassaPss), sequence()),
  ]) {
    assert.deepEqual(certifiedSpki(sequence(algorithm, bits)), rsa)
  }
  const { publicKey } = generateKeyPairSync('ed25519')
  assert.deepEqual(certifiedSpki(spkiOf(publicKey)), spkiOf(publicKey))
})
