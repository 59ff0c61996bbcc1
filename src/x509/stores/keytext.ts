import { hash } from 'node:crypto'
import { readDer } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { octetsOfBlock, type PemBlock } from '../der/pem.ts'
import type { EncodedPrivateKey } from '../keys/private.ts'
import { bmpPassword } from './derive.ts'
import { decryptedOld } from './forge.ts'
import { decryptedKey } from './read.ts'
import { decryptedByNode, notRead, wrongPassphrase } from './schemes.ts'

/** Decrypts a private key in PEM, by PKCS#8 (RFC 5958 3) or as OpenSSL did before (RFC 1421 4.6). It may take
 *  seconds. Throws `store-refused`, `pem-malformed`, `der-malformed`. */
export function openKeyBlock(block: PemBlock, passphrase: string): EncodedPrivateKey {
  const octets = octetsOfBlock(block)
  if (block.label === 'ENCRYPTED PRIVATE KEY') {
    const secret = { text: passphrase, bmp: bmpPassword(passphrase) }
    return { label: 'PRIVATE KEY', der: decryptedKey(readDer(octets), secret) }
  }
  return { label: block.label, der: decryptedBody(block.headers, octets, passphrase) }
}

/** Ciphers of DEK-Info, and the octets of their keys. */
const dekCiphers: Readonly<Record<string, number>> = {
  'AES-128-CBC': 16,
  'AES-192-CBC': 24,
  'AES-256-CBC': 32,
  'DES-EDE3-CBC': 24,
  'DES-CBC': 8,
}

function decryptedBody(headers: string, octets: Buffer, passphrase: string): Buffer {
  const [, name = '', hex = ''] = /DEK-Info:\s*([A-Z0-9-]+),([0-9A-Fa-f]+)/.exec(headers) ?? []
  const length = dekCiphers[name]
  if (length === undefined) throw notRead(`A private key encrypted by ${name || 'no named cipher'}`)
  const iv = Buffer.from(hex, 'hex')
  if (iv.length !== (name.startsWith('AES') ? 16 : 8))
    throw new X509Error('pem-malformed', 'The initial vector of the private key is cut short')
  const key = bytesToKey(passphrase, iv.subarray(0, 8), length)
  const plain =
    name === 'DES-CBC'
      ? decryptedOld({ name: 'des', key, iv }, octets)
      : decryptedByNode(name.toLowerCase(), octets, { key, iv })
  if (plain?.[0] !== 0x30) throw wrongPassphrase()
  return plain
}

/** EVP_BytesToKey with MD5 and one round. */
function bytesToKey(passphrase: string, salt: Buffer, length: number): Buffer {
  const seed = Buffer.concat([Buffer.from(passphrase, 'utf8'), salt])
  let made = hash('md5', seed, 'buffer')
  for (let last = made; made.length < length; made = Buffer.concat([made, last]))
    last = hash('md5', Buffer.concat([last, seed]), 'buffer')
  return made.subarray(0, length)
}
