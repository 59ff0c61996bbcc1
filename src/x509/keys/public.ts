import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import {
  bitString,
  derNull,
  type Element,
  malformed,
  readDer,
  sequence,
  tags,
} from '../der/encoding.ts'
import { octetsOf, sequenceOf, unsignedOf } from '../der/fields.ts'
import { oid, oidOf, oids } from '../der/oids.ts'
import { modulusFault, type RsaPublicKey } from './rsa.ts'

/** The kinds of key we make and certify. */
export const keyAlgorithms = [
  'ECDSA_P256',
  'ECDSA_P384',
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
  'ED25519',
] as const

export type KeyAlgorithm = (typeof keyAlgorithms)[number]

/** The kinds of key that a CA made elsewhere may have: those, and one that is neither made nor certified
 *  here, since not every gateway and browser takes it. */
export type AuthorityAlgorithm = KeyAlgorithm | 'ECDSA_P521'

/** Whether keys of this kind are made and certified. */
export function isCertified(algorithm: AuthorityAlgorithm | undefined): algorithm is KeyAlgorithm {
  return algorithm !== undefined && algorithm !== 'ECDSA_P521'
}

/** SubjectPublicKeyInfo in DER, of a public key or of the public half of a private one. */
export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ type: 'spki', format: 'der' })
}

/** The kind of key, or undefined when it is none of these; malformed DER throws `der-malformed`. */
export function keyAlgorithmOf(spki: Buffer): AuthorityAlgorithm | undefined {
  return algorithmOfElement(readDer(spki))
}

/** The same for an element inside something already read: parameters NULL for RSA (RFC 3279 2.3.1),
 *  a named curve and an uncompressed point for EC (RFC 5480 2.1.1, 2.2), none for Ed25519. */
export function algorithmOfElement(spki: Element): AuthorityAlgorithm | undefined {
  const { algorithm, parameters, key } = parts(spki)
  if (algorithm === oids.ed25519) return parameters || key.length !== 32 ? undefined : 'ED25519'
  if (algorithm === oids.rsaEncryption)
    return parameters?.tag === tags.null
      ? rsaSizes[bitLength(rsaPublicKey(key).modulus)]
      : undefined
  if (algorithm !== oids.ecPublicKey || !parameters || key[0] !== 4) return undefined
  const curve = curves[named(parameters)]
  return curve?.octets === key.length ? curve.algorithm : undefined
}

type Curve = { readonly algorithm: AuthorityAlgorithm; readonly octets: number }

const curves: Readonly<Record<string, Curve>> = {
  [oids.p256]: { algorithm: 'ECDSA_P256', octets: 65 },
  [oids.p384]: { algorithm: 'ECDSA_P384', octets: 97 },
  [oids.p521]: { algorithm: 'ECDSA_P521', octets: 133 },
}

const rsaSizes: Readonly<Record<number, KeyAlgorithm>> = {
  2048: 'RSA_2048',
  3072: 'RSA_3072',
  4096: 'RSA_4096',
}

/** The named curve; empty for explicit parameters, which RFC 5480 2.1.1 forbids. */
function named(parameters: Element): string {
  return parameters.tag === tags.oid ? oidOf(parameters, 'a curve') : ''
}

function parts(spki: Element) {
  const [identifier, bits, ...more] = sequenceOf(spki, 'subjectPublicKeyInfo')
  const [algorithm, parameters, ...further] = sequenceOf(identifier, 'a key algorithm')
  // The key is copied into certificates as it stands, so nothing may ride along.
  if (more.length > 0 || further.length > 0) throw malformed('a subjectPublicKeyInfo')
  const key = octetsOf(bits, 'subjectPublicKey')
  return { algorithm: oidOf(algorithm, 'a key algorithm'), parameters, key }
}

function rsaPublicKey(key: Buffer): RsaPublicKey {
  const [modulus, exponent, ...more] = sequenceOf(readDer(key), 'an RSA public key')
  if (more.length > 0) throw malformed('an RSA public key')
  return {
    modulus: unsignedOf(modulus, 'a modulus'),
    exponent: unsignedOf(exponent, 'an exponent'),
  }
}

function bitLength(magnitude: Buffer): number {
  return magnitude.length * 8 - Math.clz32((magnitude[0] ?? 0) << 24)
}

/** 20 octets: SHA-256 of the BIT STRING's contents, cut to 160 bits (RFC 7093 section 2 method 1). */
export function keyIdentifier(spki: Buffer): Buffer {
  return hash('sha256', parts(readDer(spki)).key, 'buffer').subarray(0, 20)
}

/** The BIT STRING's contents, over which OCSP names an issuer's key (RFC 6960 4.1.1). */
export function keyBits(spki: Buffer): Buffer {
  return parts(readDer(spki)).key
}

/** The same key as it is written in everything that is certified here: others leave out the parameters of
 *  RSA, name it for PSS alone (RFC 4055 1.2), compress a point or spell out a curve. What is a kind of key
 *  that is not certified here, or none, stays as it is. Malformed DER throws `der-malformed`. */
export function certifiedSpki(spki: Buffer): Buffer {
  const { algorithm, key } = parts(readDer(spki))
  if (algorithm === oids.rsaEncryption || algorithm === oids.rsassaPss)
    return sequence(sequence(oid(oids.rsaEncryption), derNull), bitString(key))
  return algorithm === oids.ecPublicKey ? (plainPoint(spki) ?? spki) : spki
}

/** As JWK has it, there is one spelling of each (RFC 7518 6.2.1). */
function plainPoint(spki: Buffer): Buffer | undefined {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    return spkiOf(createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' }))
  } catch {
    // OpenSSL does not know the curve, or the point is not on it: nobody gets a certificate for it.
    return undefined
  }
}

/** Why a public key may not be certified, or undefined: kind and size on our list, exponent 65537,
 *  a sound modulus, a point on its curve (CA/B BR 6.1.1.3, 6.1.6). Malformed DER is a fault too. */
export function weakKeyFault(spki: Buffer): string | undefined {
  return isCertified(readable(spki)) ? weakAuthorityKeyFault(spki) : strangeKey(spki, keyAlgorithms)
}

/** Why a CA made elsewhere may not have this key, or undefined. Malformed DER is a fault too. */
export function weakAuthorityKeyFault(spki: Buffer): string | undefined {
  const algorithm = readable(spki)
  if (algorithm === undefined) return strangeKey(spki, [...keyAlgorithms, 'ECDSA_P521'])
  if (!loads(spki)) return 'The public key is not a valid key of its kind; make a new one'
  const { key } = parts(readDer(spki))
  if (algorithm === 'ED25519')
    return smallOrder.has(key.toString('hex')) ? 'The Ed25519 key has small order' : undefined
  if (!algorithm.startsWith('RSA')) return undefined
  const { modulus, exponent } = rsaPublicKey(key)
  if (exponent.toString('hex') !== '010001')
    return 'The RSA public exponent is not 65537; make a new key'
  return modulusFault(modulus)
}

function strangeKey(spki: Buffer, taken: readonly string[]): string {
  return `The key is ${keyName(spki)}, none of ${taken.join(', ')}; make one of these`
}

/** What kind of key it is, in the words of its field: RSA 1024, Ed448, brainpoolP256r1; for refusals. */
export function keyName(spki: Buffer): string {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    const { asymmetricKeyType: type = '', asymmetricKeyDetails: details = {} } = key
    const { modulusLength, namedCurve } = details
    if (type === 'ec') return `EC on ${namedCurve ?? 'a curve spelt out in full'}`
    return modulusLength === undefined ? type : `${type.toUpperCase()} of ${modulusLength} bits`
  } catch {
    return 'of a kind that is not known'
  }
}

function readable(spki: Buffer): AuthorityAlgorithm | undefined {
  try {
    return keyAlgorithmOf(spki)
  } catch {
    return undefined
  }
}

/** OpenSSL refuses a point that is not on its curve. */
function loads(spki: Buffer): boolean {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' }).type === 'public'
  } catch {
    return false
  }
}

/** The encodings of the eight points whose signatures prove nothing (RFC 8032 section 8.9). */
const smallOrder: ReadonlySet<string> = new Set([
  `01${'00'.repeat(31)}`,
  `01${'00'.repeat(30)}80`,
  '00'.repeat(32),
  `${'00'.repeat(31)}80`,
  `ec${'ff'.repeat(30)}7f`,
  `ec${'ff'.repeat(31)}`,
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
])
