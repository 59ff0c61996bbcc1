import { createDecipheriv, hash, pbkdf2Sync, scryptSync } from 'node:crypto'
import { type Element, malformed, tags } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, expectTag, numberOf, sequenceOf } from '../der/fields.ts'
import { oidOf, oids } from '../der/oids.ts'
import { type DerivingHash, derived } from './derive.ts'
import { decryptedOld } from './forge.ts'

/** A passphrase in both its spellings: of PKCS#5 and of PKCS#12. */
export type Passphrase = { readonly text: string; readonly bmp: Buffer }

/** Rounds of a derivation that are waited for; more would hold up who comes next. */
export const mostRounds = { pbkdf2: 2_000_000, pkcs12: 600_000 } as const

/** What a wrong passphrase is answered with. */
export function wrongPassphrase(): X509Error {
  return new X509Error('store-refused', 'The passphrase does not open it')
}

/** Refuses what is not read, by its own name. */
export function notRead(what: string, advice = ''): X509Error {
  return new X509Error('store-refused', `${what} is not read here${advice}`)
}

/** Refuses derivations that would take too long, before they begin. */
export function boundedRounds(contents: Buffer, most: number): number {
  const rounds = numberOf(contents, 'an iteration count')
  if (rounds < 1 || rounds > most)
    throw new X509Error(
      'store-refused',
      `Its key is derived in ${rounds} iterations; from 1 to ${most} are read here: write it with fewer`,
    )
  return rounds
}

/** What was encrypted by an AlgorithmIdentifier of PKCS#5 or PKCS#12 (RFC 8018 6, RFC 7292 C). Throws
 *  `store-refused` for a passphrase that does not open it and for what is not read, `der-malformed`. */
export function decrypted(
  algorithm: Element | undefined,
  octets: Buffer,
  passphrase: Passphrase,
): Buffer {
  const [type, parameters] = sequenceOf(algorithm, 'an encryption algorithm')
  const name = oidOf(type, 'an encryption algorithm')
  if (name === oids.pbes2) return byPbes2(parameters, octets, passphrase)
  const scheme = schemes[name]
  if (!scheme) throw notRead(`Encryption by ${oldNames[name] ?? name}`, ': export it by AES')
  const [saltElement, roundsElement] = sequenceOf(parameters, 'a salt and a count')
  const salt = contentsOf(expectTag(saltElement, tags.octetString, 'a salt'))
  const count = contentsOf(expectTag(roundsElement, tags.integer, 'an iteration count'))
  const rounds = boundedRounds(count, mostRounds.pkcs12)
  return opened(scheme(octets, { salt, rounds, passphrase }))
}

type From = {
  readonly salt: Buffer
  readonly rounds: number
  readonly passphrase: Passphrase
}
type Scheme = (octets: Buffer, from: From) => Buffer | undefined

const schemes: Readonly<Record<string, Scheme>> = {
  [oids.pbeSha1TripleDes]: (octets, from) =>
    decryptedByNode('des-ede3-cbc', octets, keyAndIv(from, 24)),
  [oids.pbeSha1DoubleDes]: (octets, from) => {
    const { key, iv } = keyAndIv(from, 16)
    return decryptedByNode('des-ede3-cbc', octets, {
      key: Buffer.concat([key, key.subarray(0, 8)]),
      iv,
    })
  },
  [oids.pbeSha1Rc2128]: (octets, from) =>
    decryptedOld({ name: 'rc2', ...keyAndIv(from, 16) }, octets),
  [oids.pbeSha1Rc240]: (octets, from) =>
    decryptedOld({ name: 'rc2', ...keyAndIv(from, 5) }, octets),
  [oids.pbeMd5Des]: (octets, from) => byPbes1('md5', octets, from),
  [oids.pbeSha1Des]: (octets, from) => byPbes1('sha1', octets, from),
}

const oldNames: Readonly<Record<string, string>> = {
  [oids.pbeSha1Rc4128]: 'RC4 of 128 bits',
  [oids.pbeSha1Rc440]: 'RC4 of 40 bits',
}

function keyAndIv({ salt, rounds: iterations, passphrase: { bmp } }: From, length: number) {
  const from = { by: 'sha1', password: bmp, salt, iterations } as const
  return {
    key: derived({ ...from, purpose: 'key', length }),
    iv: derived({ ...from, purpose: 'iv', length: 8 }),
  }
}

/** PBES1 (RFC 8018 6.1.2): the hash of passphrase and salt, hashed again. */
function byPbes1(by: 'md5' | 'sha1', octets: Buffer, from: From): Buffer | undefined {
  const { salt, rounds, passphrase } = from
  let block = Buffer.concat([Buffer.from(passphrase.text, 'utf8'), salt])
  for (let round = 0; round < rounds; round++) block = hash(by, block, 'buffer')
  return decryptedOld({ name: 'des', key: block.subarray(0, 8), iv: block.subarray(8, 16) }, octets)
}

function byPbes2(parameters: Element | undefined, octets: Buffer, { text }: Passphrase): Buffer {
  const [derivation, scheme] = sequenceOf(parameters, 'PBES2')
  const [schemeType, ivElement] = sequenceOf(scheme, 'an encryption scheme')
  const name = oidOf(schemeType, 'an encryption scheme')
  const cipher = ciphers[name]
  if (!cipher) throw notRead(`Encryption by PBES2 with ${name}`, ': export it by AES')
  const iv = contentsOf(expectTag(ivElement, tags.octetString, 'an initial vector'))
  if (iv.length !== cipher.iv) throw malformed('an initial vector')
  const key = derivedKey(derivation, text, cipher.key)
  return opened(decryptedByNode(cipher.name, octets, { key, iv }))
}

const ciphers: Readonly<Record<string, { name: string; key: number; iv: number }>> = {
  [oids.aes128Cbc]: { name: 'aes-128-cbc', key: 16, iv: 16 },
  [oids.aes192Cbc]: { name: 'aes-192-cbc', key: 24, iv: 16 },
  [oids.aes256Cbc]: { name: 'aes-256-cbc', key: 32, iv: 16 },
  [oids.desEde3Cbc]: { name: 'des-ede3-cbc', key: 24, iv: 8 },
}

/** PBKDF2 (RFC 8018 A.2) or scrypt (RFC 7914 7.1). */
function derivedKey(derivation: Element | undefined, text: string, length: number): Buffer {
  const [type, parameters] = sequenceOf(derivation, 'a key derivation')
  const name = oidOf(type, 'a key derivation')
  const password = Buffer.from(text, 'utf8')
  const [salt, ...rest] = sequenceOf(parameters, 'a key derivation')
  if (name !== oids.scrypt && name !== oids.pbkdf2) throw notRead(`A key derived by ${name}`)
  if (salt?.tag !== tags.octetString) throw notRead('PBKDF2 with a salt from elsewhere')
  const numbers = rest.filter(({ tag }) => tag === tags.integer).map(contentsOf)
  const [first = Buffer.alloc(0), second, third] = numbers
  if (name === oids.pbkdf2) {
    const prf = rest.find(({ tag }) => tag === tags.sequence)
    const by = prf ? prfs[oidOf(prf.children[0], 'a hash')] : 'sha1'
    if (by === undefined) throw notRead('PBKDF2 by another hash than SHA-1 or SHA-2')
    const rounds = boundedRounds(first, mostRounds.pbkdf2)
    return pbkdf2Sync(password, contentsOf(salt), rounds, length, by)
  }
  if (!second || !third) throw malformed('the parameters of scrypt')
  const [N, r, p] = [first, second, third].map((one) => numberOf(one, 'a parameter of scrypt'))
  const cost = { N: N ?? 0, r: r ?? 0, p: p ?? 0 }
  if (!(cost.N > 1 && cost.N * cost.r <= 1 << 19 && cost.r > 0 && cost.p > 0 && cost.p <= 4))
    throw new X509Error('store-refused', 'Its key is derived by more of scrypt than is waited for')
  if ((cost.N & (cost.N - 1)) !== 0) throw malformed('the parameters of scrypt')
  return scryptSync(password, contentsOf(salt), length, { ...cost, maxmem: 1 << 27 })
}

const prfs: Readonly<Record<string, DerivingHash>> = {
  [oids.hmacSha1]: 'sha1',
  [oids.hmacSha224]: 'sha224',
  [oids.hmacSha256]: 'sha256',
  [oids.hmacSha384]: 'sha384',
  [oids.hmacSha512]: 'sha512',
}

type KeyAndIv = { readonly key: Buffer; readonly iv: Buffer }

/** The plain text, or undefined where its padding is wrong, as by another key. */
export function decryptedByNode(
  name: string,
  octets: Buffer,
  { key, iv }: KeyAndIv,
): Buffer | undefined {
  const decipher = createDecipheriv(name, key, iv)
  try {
    return Buffer.concat([decipher.update(octets), decipher.final()])
  } catch {
    return undefined
  }
}

function opened(plain: Buffer | undefined): Buffer {
  if (plain === undefined) throw wrongPassphrase()
  return plain
}
