import { hash } from 'node:crypto'

/** Hashes that PKCS#12 derives keys by, and the octets of one block of each. */
const blockLengths = {
  md5: 64,
  sha1: 64,
  sha224: 64,
  sha256: 64,
  sha384: 128,
  sha512: 128,
} as const

/** One of these hashes. */
export type DerivingHash = keyof typeof blockLengths

/** What a key is derived from. */
export type Derivation = {
  readonly by: DerivingHash
  /** What for (RFC 7292 B.3). */
  readonly purpose: 'key' | 'iv' | 'mac'
  /** As `bmpPassword` writes it. */
  readonly password: Buffer
  readonly salt: Buffer
  readonly iterations: number
  readonly length: number
}

const identifiers = { key: 1, iv: 2, mac: 3 } as const

/** The key derivation of PKCS#12 (RFC 7292 B.2). */
export function derived(input: Derivation): Buffer {
  const { by, purpose, password, salt, iterations, length } = input
  const block = blockLengths[by]
  const diversifier = Buffer.alloc(block, identifiers[purpose])
  const mixed = Buffer.concat([filled(salt, block), filled(password, block)])
  const parts: Buffer[] = []
  for (let made = 0; made < length; ) {
    let part = hash(by, Buffer.concat([diversifier, mixed]), 'buffer')
    for (let round = 1; round < iterations; round++) part = hash(by, part, 'buffer')
    parts.push(part)
    made += part.length
    if (made < length) stir(mixed, filled(part, block).subarray(0, block))
  }
  return Buffer.concat(parts).subarray(0, length)
}

/** A password as PKCS#12 takes it: UTF-16, its end marked (RFC 7292 B.1). */
export function bmpPassword(password: string): Buffer {
  return Buffer.concat([bigEndian(password), Buffer.alloc(2)])
}

/** UTF-16 as ASN.1 has it. */
export function bigEndian(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

/** Repeated to whole blocks. */
function filled(octets: Buffer, block: number): Buffer {
  return octets.length === 0
    ? octets
    : Buffer.alloc(Math.ceil(octets.length / block) * block, octets)
}

/** Every block of `mixed` becomes itself and `added` and one, without what does not fit (RFC 7292 B.2, 6C). */
function stir(mixed: Buffer, added: Buffer): void {
  for (let start = 0; start < mixed.length; start += added.length) {
    let carry = 1
    for (let at = added.length - 1; at >= 0; at--) {
      carry += (mixed[start + at] ?? 0) + (added[at] ?? 0)
      mixed[start + at] = carry & 0xff
      carry >>= 8
    }
  }
}
