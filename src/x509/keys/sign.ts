import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { bitString, derNull, type Element, sequence } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { encodedOf } from '../der/fields.ts'
import { oid, oids } from '../der/oids.ts'
import { type KeyAlgorithm, keyAlgorithmOf, keyAlgorithms, spkiOf } from './public.ts'

type Family = 'ECDSA_P256' | 'ECDSA_P384' | 'RSA' | 'ED25519'

const identifiers: Readonly<Record<Family, Buffer>> = {
  ECDSA_P256: sequence(oid(oids.ecdsaSha256)),
  ECDSA_P384: sequence(oid(oids.ecdsaSha384)),
  RSA: sequence(oid(oids.rsaSha256), derNull),
  ED25519: sequence(oid(oids.ed25519)),
}

function family(algorithm: KeyAlgorithm): Family {
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
export function signatureAlgorithmOf(algorithm: KeyAlgorithm): Buffer {
  return identifiers[family(algorithm)]
}

/** Something that signs: a key in memory, or one that never leaves its token. */
export type Signer = {
  readonly algorithm: KeyAlgorithm
  /** It signs in the calling thread, in less than a millisecond. */
  readonly quick: boolean
  sign(bytes: Buffer): Buffer | Promise<Buffer>
}

const signOnPool = promisify(sign)

/** A signer over a private key in memory: at once for EC and Ed25519, on the thread pool for RSA,
 *  whose signature takes longer than the hop. Throws `key-unsupported` for other keys. */
export function keySigner(privateKey: KeyObject): Signer {
  const algorithm = privateKey.type === 'private' ? keyAlgorithmOf(spkiOf(privateKey)) : undefined
  if (algorithm === undefined)
    throw new X509Error(
      'key-unsupported',
      `The key is none of ${keyAlgorithms.join(', ')}; sign with one of these`,
    )
  const digest = digests[family(algorithm)]
  return family(algorithm) === 'RSA'
    ? { algorithm, quick: false, sign: (bytes) => signOnPool(digest, bytes, privateKey) }
    : { algorithm, quick: true, sign: (bytes) => sign(digest, bytes, privateKey) }
}

const digests: Readonly<Record<Family, 'sha256' | 'sha384' | null>> = {
  ECDSA_P256: 'sha256',
  ECDSA_P384: 'sha384',
  RSA: 'sha256',
  ED25519: null,
}

/** The outer SEQUENCE of a certificate, list, request or response: what was signed, how, and the
 *  signature (RFC 5280 4.1.1). */
export function assemble(tbs: Buffer, algorithm: KeyAlgorithm, signature: Buffer): Buffer {
  return sequence(tbs, signatureAlgorithmOf(algorithm), bitString(signature))
}

type Verifiable = { readonly type: 'ec' | 'rsa' | 'ed25519'; readonly digest: string | null }

/** What is verified, by its whole AlgorithmIdentifier, since parameters are part of what it says: SHA-2
 *  only. Parameters are absent for ECDSA (RFC 5758 3.2) and Ed25519 (RFC 8410 3); for RSA they are
 *  written NULL, and must be accepted when absent (RFC 4055 5). */
const verifiable: ReadonlyMap<string, Verifiable> = new Map<string, Verifiable>([
  [identifier(oids.ecdsaSha256), { type: 'ec', digest: 'sha256' }],
  [identifier(oids.ecdsaSha384), { type: 'ec', digest: 'sha384' }],
  [identifier(oids.ecdsaSha512), { type: 'ec', digest: 'sha512' }],
  ...rsa(oids.rsaSha256, 'sha256'),
  ...rsa(oids.rsaSha384, 'sha384'),
  ...rsa(oids.rsaSha512, 'sha512'),
  [identifier(oids.ed25519), { type: 'ed25519', digest: null }],
])

function rsa(type: string, digest: string): readonly (readonly [string, Verifiable])[] {
  const found = { type: 'rsa', digest } as const
  return [
    [identifier(type, derNull), found],
    [identifier(type), found],
  ]
}

function identifier(type: string, ...parameters: readonly Buffer[]): string {
  return sequence(oid(type), ...parameters).toString('latin1')
}

/** Whether signatures by this whole AlgorithmIdentifier are verified at all. */
export function isVerifiable(algorithmDer: Buffer): boolean {
  return verifiable.has(algorithmDer.toString('latin1'))
}

/** What is needed to check a signature. */
export type Signed = {
  readonly bytes: Buffer
  readonly algorithm: Element
  readonly signature: Buffer
}

/** Whether the signature over `bytes` is by the key in `spki`; false for SHA-1, MD5, PSS and other
 *  algorithms than we list, and for keys that do not load. */
export function verifies({ bytes, algorithm, signature }: Signed, spki: Buffer): boolean {
  const found = verifiable.get(encodedOf(algorithm).toString('latin1'))
  if (found === undefined) return false
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    return key.asymmetricKeyType === found.type && verify(found.digest, bytes, key, signature)
  } catch {
    return false
  }
}
