import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const checkLength = 6
/** gsm_ and 256 bits in base64url, as tokens were before they had a checksum; and with one. */
const bareLength = 47
const wholeLength = bareLength + checkLength

/** A new bearer token: 256 random bits under a prefix that secret scanners can look for, and a checksum by
 *  which they know that it is one (CRC-32 in base 62, as GitHub's tokens have). */
export function newToken(): string {
  const bare = `gsm_${randomBytes(32).toString('base64url')}`
  return bare + checksumOf(bare)
}

/** Whether it can be one of ours: with the length of a new token it must have its checksum. */
export function isToken(token: string): boolean {
  if (token.length !== wholeLength) return true
  const bare = token.slice(0, bareLength)
  return token === bare + checksumOf(bare)
}

function checksumOf(bare: string): string {
  let rest = crc32(bare)
  let text = ''
  while (text.length < checkLength) {
    text = alphabet.charAt(rest % 62) + text
    rest = Math.floor(rest / 62)
  }
  return text
}

/** How a token begins: enough to tell one that leaked from others, and far too little to guess the rest. */
export function prefixOf(token: string): string {
  return token.slice(0, 12)
}

/** What is stored of a token. It has full entropy, so one plain hash is enough: there is nothing to
 *  guess that a slow hash would protect. */
export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
