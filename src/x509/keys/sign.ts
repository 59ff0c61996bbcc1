import { constants, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { bitString, derNull, type Element, readDer, sequence } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, encodedOf, numberOf, sequenceOf } from '../der/fields.ts'
import { oid, oidOf, oids } from '../der/oids.ts'
import {
  type AuthorityAlgorithm,
  keyAlgorithmOf,
  keyAlgorithms,
  keyName,
  spkiOf,
} from './public.ts'

type Family = 'ECDSA_P256' | 'ECDSA_P384' | 'ECDSA_P521' | 'RSA' | 'ED25519'

const identifiers: Readonly<Record<Family, Buffer>> = {
  ECDSA_P256: sequence(oid(oids.ecdsaSha256)),
  ECDSA_P384: sequence(oid(oids.ecdsaSha384)),
  ECDSA_P521: sequence(oid(oids.ecdsaSha512)),
  RSA: sequence(oid(oids.rsaSha256), derNull),
  ED25519: sequence(oid(oids.ed25519)),
}

function family(algorithm: AuthorityAlgorithm): Family {
  switch (algorithm) {
    case 'RSA_2048':
    case 'RSA_3072':
    case 'RSA_4096':
      return 'RSA'
    default:
      return algorithm
  }
}

/** The AlgorithmIdentifier a key of this kind signs with: parameters NULL for RSA (RFC 4055 5),
 *  absent for ECDSA (RFC 5758 3.2) and Ed25519 (RFC 8410 3). */
export function signatureAlgorithmOf(algorithm: AuthorityAlgorithm): Buffer {
  return identifiers[family(algorithm)]
}

/** Something that signs: a key in memory, or one that never leaves its token. */
export type Signer = {
  readonly algorithm: AuthorityAlgorithm
  /** It signs in the calling thread, in less than a millisecond. */
  readonly quick: boolean
  sign(bytes: Buffer): Buffer | Promise<Buffer>
}

const signOnPool = promisify(sign)

/** A signer over a private key in memory: at once for EC and Ed25519, on the thread pool for RSA,
 *  whose signature takes longer than the hop. Throws `key-unsupported` for other keys. */
export function keySigner(privateKey: KeyObject): Signer {
  const spki = privateKey.type === 'private' ? spkiOf(privateKey) : Buffer.alloc(0)
  const algorithm = spki.length > 0 ? keyAlgorithmOf(spki) : undefined
  if (algorithm === undefined)
    throw new X509Error(
      'key-unsupported',
      `The key is ${keyName(spki)}, none of ${keyAlgorithms.join(', ')}; sign with one of these`,
    )
  const digest = digests[family(algorithm)]
  return family(algorithm) === 'RSA'
    ? { algorithm, quick: false, sign: (bytes) => signOnPool(digest, bytes, privateKey) }
    : { algorithm, quick: true, sign: (bytes) => sign(digest, bytes, privateKey) }
}

const digests: Readonly<Record<Family, 'sha256' | 'sha384' | 'sha512' | null>> = {
  ECDSA_P256: 'sha256',
  ECDSA_P384: 'sha384',
  ECDSA_P521: 'sha512',
  RSA: 'sha256',
  ED25519: null,
}

/** The outer SEQUENCE of a certificate, list, request or response: what was signed, how, and the
 *  signature (RFC 5280 4.1.1). */
export function assemble(tbs: Buffer, algorithm: AuthorityAlgorithm, signature: Buffer): Buffer {
  return sequence(tbs, signatureAlgorithmOf(algorithm), bitString(signature))
}

type Verifiable = {
  readonly type: 'ec' | 'rsa' | 'ed25519'
  readonly digest: string | null
  /** Of RSASSA-PSS. */
  readonly saltLength?: number
}

/** What is verified, by its whole AlgorithmIdentifier, since parameters are part of what it says: SHA-2
 *  only. Parameters are absent for ECDSA (RFC 5758 3.2), where some write NULL all the same, and for Ed25519
 *  (RFC 8410 3); for RSA they are written NULL, and must be accepted when absent (RFC 4055 5). */
const verifiable: ReadonlyMap<string, Verifiable> = new Map<string, Verifiable>([
  ...either(oids.ecdsaSha256, { type: 'ec', digest: 'sha256' }),
  ...either(oids.ecdsaSha384, { type: 'ec', digest: 'sha384' }),
  ...either(oids.ecdsaSha512, { type: 'ec', digest: 'sha512' }),
  ...either(oids.rsaSha256, { type: 'rsa', digest: 'sha256' }),
  ...either(oids.rsaSha384, { type: 'rsa', digest: 'sha384' }),
  ...either(oids.rsaSha512, { type: 'rsa', digest: 'sha512' }),
  [identifier(oids.ed25519), { type: 'ed25519', digest: null }],
])

/** What roots of before sign themselves by: nobody relies on it (RFC 5280 6.1: the trust anchor is given). */
const selfVerifiable: ReadonlyMap<string, Verifiable> = new Map<string, Verifiable>([
  ...either(oids.rsaSha1, { type: 'rsa', digest: 'sha1' }),
  ...either(oids.ecdsaSha1, { type: 'ec', digest: 'sha1' }),
  ...either(oids.rsaSha224, { type: 'rsa', digest: 'sha224' }),
])

function either(type: string, found: Verifiable): readonly (readonly [string, Verifiable])[] {
  return [
    [identifier(type, derNull), found],
    [identifier(type), found],
  ]
}

function identifier(type: string, ...parameters: readonly Buffer[]): string {
  return sequence(oid(type), ...parameters).toString('latin1')
}

function verifiableOf(algorithm: Element): Verifiable | undefined {
  return verifiable.get(encodedOf(algorithm).toString('latin1')) ?? pssOf(algorithm)
}

const pssDigests: Readonly<Record<string, string>> = {
  [oids.sha256]: 'sha256',
  [oids.sha384]: 'sha384',
  [oids.sha512]: 'sha512',
}

/** RSASSA-PSS with one SHA-2 for the message and for MGF1 (RFC 4055 3.1); a salt as long as it says. */
function pssOf(algorithm: Element): Verifiable | undefined {
  const [type, parameters] = algorithm.children
  if (!parameters || oidOf(type, 'an algorithm') !== oids.rsassaPss) return undefined
  try {
    return pssParametersOf(parameters)
  } catch (error) {
    if (error instanceof X509Error) return undefined
    throw error
  }
}

const defaultSaltLength = 20

function pssParametersOf(parameters: Element): Verifiable | undefined {
  const part = (tag: number) => parameters.children.find((one) => one.tag === tag)?.children[0]
  const [hash] = part(0xa0)?.children ?? []
  const [mask, maskHash] = part(0xa1)?.children ?? []
  const salt = part(0xa2)
  if (!hash || !mask || !maskHash) return undefined
  const digest = pssDigests[oidOf(hash, 'a hash')]
  const same = pssDigests[oidOf(maskHash.children[0], 'a hash')] === digest
  const saltLength = salt ? numberOf(contentsOf(salt), 'a length') : defaultSaltLength
  if (!same || digest === undefined || oidOf(mask, 'a mask') !== oids.mgf1 || saltLength > 512)
    return undefined
  return { type: 'rsa', digest, saltLength }
}

/** Whether signatures by this whole AlgorithmIdentifier are verified at all. */
export function isVerifiable(algorithmDer: Buffer): boolean {
  return verifiableOf(readDer(algorithmDer)) !== undefined
}

/** What an AlgorithmIdentifier is called where it is refused. */
export function signatureName(algorithmDer: Buffer): string {
  const [type] = sequenceOf(readDer(algorithmDer), 'an algorithm')
  const dotted = oidOf(type, 'an algorithm')
  return signatureNames[dotted] ?? dotted
}

const signatureNames: Readonly<Record<string, string>> = {
  [oids.rsaMd5]: 'MD5 with RSA',
  [oids.rsaSha1]: 'SHA-1 with RSA',
  [oids.rsaSha224]: 'SHA-224 with RSA',
  [oids.ecdsaSha1]: 'ECDSA with SHA-1',
  [oids.rsassaPss]: 'RSASSA-PSS by another hash than SHA-256, SHA-384 or SHA-512, or by two',
  [oids.dsaSha1]: 'DSA with SHA-1',
  [oids.dsaSha256]: 'DSA with SHA-256',
  [oids.ed448]: 'Ed448',
}

/** What is needed to check a signature. */
export type Signed = {
  readonly bytes: Buffer
  readonly algorithm: Element
  readonly signature: Buffer
}

/** Whether the signature over `bytes` is by the key in `spki`; false for SHA-1, MD5 and other
 *  algorithms than we list, and for keys that do not load. */
export function verifies(signed: Signed, spki: Buffer): boolean {
  return verifiedAs(verifiableOf(signed.algorithm), signed, spki)
}

/** The same of what a root says of itself, where SHA-1 and SHA-224 will do. */
export function verifiesItself(signed: Signed, spki: Buffer): boolean {
  const own = selfVerifiable.get(encodedOf(signed.algorithm).toString('latin1'))
  return verifiedAs(own ?? verifiableOf(signed.algorithm), signed, spki)
}

function verifiedAs(
  found: Verifiable | undefined,
  { bytes, signature }: Signed,
  spki: Buffer,
): boolean {
  if (found === undefined) return false
  const { type, digest, saltLength } = found
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    if (key.asymmetricKeyType !== type) return false
    if (saltLength === undefined) return verify(digest, bytes, key, signature)
    const padding = constants.RSA_PKCS1_PSS_PADDING
    return verify(digest, bytes, { key, padding, saltLength }, signature)
  } catch {
    return false
  }
}
