import { createPrivateKey, type KeyObject } from 'node:crypto'
import { X509Error } from '../der/errors.ts'
import { contentsOfBlock, type PemBlock } from '../der/pem.ts'

/** A private key that is not encrypted, in DER, and what its PEM is called. */
export type EncodedPrivateKey = { readonly label: string; readonly der: Buffer }

const forms = {
  'PRIVATE KEY': 'pkcs8',
  'RSA PRIVATE KEY': 'pkcs1',
  'EC PRIVATE KEY': 'sec1',
} as const

/** Whether a block is a private key of any form, also of one that is not read. */
export function isPrivateKey({ label }: Pick<PemBlock, 'label'>): boolean {
  return label.endsWith('PRIVATE KEY')
}

/** Whether a private key has to be decrypted first. */
export function isEncrypted({ label, headers }: PemBlock): boolean {
  return label === 'ENCRYPTED PRIVATE KEY' || headers.includes('ENCRYPTED')
}

/** The key in a block that is not encrypted. Throws `pem-malformed`, and as openPrivateKey does. */
export function privateKeyOf(block: PemBlock): KeyObject {
  return loadPrivateKey({ label: block.label, der: contentsOfBlock(block) })
}

/** Loads PKCS#8 (RFC 5958), PKCS#1 (RFC 8017 A.1.2) or SEC 1 (RFC 5915). Throws `key-unsupported`; nothing of the
 *  key is in the error. */
export function loadPrivateKey({ label, der }: EncodedPrivateKey): KeyObject {
  const form = Object.entries(forms).find(([name]) => name === label)?.[1]
  if (form === undefined) throw unreadable(`A key in the form "${label}" is not read`)
  try {
    return plainCurve(createPrivateKey({ key: der, format: 'der', type: form }))
  } catch {
    // The cause might quote the key.
    throw unreadable('The private key cannot be read')
  }
}

function unreadable(what: string): X509Error {
  return new X509Error(
    'key-unsupported',
    `${what}: send PKCS#8, PKCS#1 or SEC 1 in PEM (openssl pkey -in the.key)`,
  )
}

/** The same with its curve named, where it was spelt out in full. */
function plainCurve(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ec') return key
  try {
    return createPrivateKey({ key: key.export({ format: 'jwk' }), format: 'jwk' })
  } catch {
    // A curve that JWK has no name for: what may be done with it is asked elsewhere.
    return key
  }
}
