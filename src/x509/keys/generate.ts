import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
} from 'node:crypto'
import type { KeyAlgorithm } from './public.ts'

/** Both halves of a key, as node:crypto holds them. */
export type KeyPair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject }

/** A fresh key pair; RSA takes up to seconds, on the thread pool. */
export async function generateKey(algorithm: KeyAlgorithm): Promise<KeyPair> {
  return openKey(await generateEncodedKey(algorithm))
}

/** Both halves of a key that was just made; its encoded private half is wiped. */
export function openKey({ pkcs8, spki }: EncodedKey): KeyPair {
  const pair = {
    privateKey: createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }),
    publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }),
  }
  pkcs8.fill(0)
  return pair
}

/** A key pair as it is stored and certified: PKCS#8 and SubjectPublicKeyInfo, both in DER. */
export type EncodedKey = { readonly pkcs8: Buffer; readonly spki: Buffer }

const encoded = {
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
} as const

/** As generateKey, as it is stored: for keys that are not used here. */
export async function generateEncodedKey(algorithm: KeyAlgorithm): Promise<EncodedKey> {
  return algorithm === 'ECDSA_P256' ? generateP256() : generateOnPool(algorithm)
}

function generateOnPool(algorithm: Exclude<KeyAlgorithm, 'ECDSA_P256'>): Promise<EncodedKey> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, spki: Buffer, pkcs8: Buffer) =>
      error ? reject(error) : resolve({ pkcs8, spki })
    switch (algorithm) {
      case 'ECDSA_P384':
        return generateKeyPair('ec', { namedCurve: 'P-384', ...encoded }, done)
      case 'RSA_2048':
        return generateKeyPair('rsa', { modulusLength: 2048, ...encoded }, done)
      case 'RSA_3072':
        return generateKeyPair('rsa', { modulusLength: 3072, ...encoded }, done)
      case 'RSA_4096':
        return generateKeyPair('rsa', { modulusLength: 4096, ...encoded }, done)
      case 'ED25519':
        return generateKeyPair('ed25519', encoded, done)
    }
  })
}

// Every P-256 key has the same lengths, so that what stands around its numbers is always the same.
const point = '034200'
const algorithm = '301306072a8648ce3d020106082a8648ce3d030107'
/** SubjectPublicKeyInfo (RFC 5480 2): id-ecPublicKey with prime256v1, then the BIT STRING. */
const spkiHead = Buffer.from(`3059${algorithm}${point}`, 'hex')
/** PrivateKeyInfo (RFC 5208 5) around an ECPrivateKey (RFC 5915 3) up to the private key. */
const pkcs8Head = Buffer.from(`308187020100${algorithm}046d306b0201010420`, 'hex')
/** Its publicKey, [1] EXPLICIT. */
const publicHead = Buffer.from(`a144${point}`, 'hex')

/** At once: OpenSSL makes one in 20 microseconds; its general encoders would take three times as long to
 *  write it down. */
function generateP256(): EncodedKey {
  const pair = createECDH('prime256v1')
  const publicKey = pair.generateKeys()
  const scalar = pair.getPrivateKey()
  // It comes without leading zeros; RFC 5915 3 wants all 32 octets.
  const padding = Buffer.alloc(32 - scalar.length)
  const pkcs8 = Buffer.concat([pkcs8Head, padding, scalar, publicHead, publicKey])
  scalar.fill(0)
  return { pkcs8, spki: Buffer.concat([spkiHead, publicKey]) }
}
