import { createHmac, timingSafeEqual } from 'node:crypto'
import { type DerLimits, type Element, malformed, readDer, tags } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, encodedOf, expectTag, numberOf, sequenceOf } from '../der/fields.ts'
import { oidOf, oids } from '../der/oids.ts'
import { bmpPassword, type DerivingHash, derived } from './derive.ts'
import { definite } from './forge.ts'
import {
  boundedRounds,
  decrypted,
  mostRounds,
  notRead,
  type Passphrase,
  wrongPassphrase,
} from './schemes.ts'

/** What is in a store: certificates in DER and private keys in PKCS#8, as they come. */
export type StoreContents = { readonly certificates: Buffer[]; readonly keys: Buffer[] }

/** A store with a key and a long chain has 20 KB. */
const mostStoreOctets = 192 * 1024

const storeLimits: DerLimits = { bytes: mostStoreOctets, depth: 24, elements: 20_000 }
const mostEntries = 100

/** Opens a PKCS#12 store (RFC 7292) of whatever tool: modern or old encryption, DER or BER, with or without a
 *  MAC. Nothing is said of what is in it: read it by readCertificate and createPrivateKey. It may take seconds.
 *  Throws `store-refused` for a wrong passphrase and for what is not read, by its name; `der-malformed`. */
export function openPkcs12(octets: Buffer, passphrase: string): StoreContents {
  refuseOthers(octets)
  const [version, safe, mac, ...more] = sequenceOf(elementOf(octets), 'a PKCS#12 store')
  const stated = numberOf(contentsOf(expectTag(version, tags.integer, 'version')), 'version')
  if (stated !== 3 || more.length > 0) throw malformed('a PKCS#12 store of another version than 3')
  const { type, content } = contentOf(safe)
  if (type === oids.pkcs7SignedData) throw notRead('A store that is signed instead of having a MAC')
  if (type !== oids.pkcs7Data) throw malformed('a PKCS#12 store')
  const authenticated = joinedOctets(content)
  const secret = passphraseFor(mac, authenticated, passphrase)
  const found: StoreContents = { certificates: [], keys: [] }
  for (const part of sequenceOf(elementOf(authenticated), 'an authenticated safe'))
    readBags(bagsOf(part, secret), secret, { found, depth: 4 })
  return found
}

const magic: Readonly<Record<string, string>> = {
  feedfeed: 'A Java keystore (JKS)',
  cececece: 'A Java keystore (JCEKS)',
  '2d2d2d2d': 'PEM in the place of a PKCS#12 store',
}

function refuseOthers(octets: Buffer): void {
  if (octets.length > mostStoreOctets)
    throw new X509Error('store-refused', `Send a store of at most ${mostStoreOctets} octets`)
  const other = magic[octets.toString('hex', 0, 4)]
  if (other?.startsWith('A Java'))
    throw notRead(other, ': convert it by keytool -importkeystore -deststoretype PKCS12')
  if (other) throw notRead(other, ': send it as PEM')
}

/** Our own reader reads it; what of it is BER is written anew in DER first. */
function elementOf(octets: Buffer): Element {
  try {
    return readDer(octets, storeLimits)
  } catch (error) {
    if (!(error instanceof X509Error)) throw error
    return readDer(definite(octets), storeLimits)
  }
}

/** ContentInfo (RFC 5652 3). */
function contentOf(element: Element | undefined) {
  const [type, wrapper] = sequenceOf(element, 'a content')
  return { type: oidOf(type, 'a content type'), content: wrapper?.children[0] }
}

/** An OCTET STRING, in one or, as BER has it, in pieces. */
function joinedOctets(element: Element | undefined): Buffer {
  if (element === undefined) throw malformed('contents are missing')
  if ((element.tag & 0x20) === 0) return contentsOf(element)
  return Buffer.concat(element.children.map(contentsOf))
}

const macHashes: Readonly<Record<string, DerivingHash>> = {
  [oids.md5]: 'md5',
  [oids.sha1]: 'sha1',
  [oids.sha224]: 'sha224',
  [oids.sha256]: 'sha256',
  [oids.sha384]: 'sha384',
  [oids.sha512]: 'sha512',
}

/** The passphrase by which the MAC is right. No passphrase has two spellings: an empty one, and none at all. */
function passphraseFor(mac: Element | undefined, safe: Buffer, text: string): Passphrase {
  const spellings = [bmpPassword(text), ...(text === '' ? [Buffer.alloc(0)] : [])]
  const [digestInfo, salt, rounds] = mac ? sequenceOf(mac, 'a MAC') : []
  const found = mac
    ? spellings.find((bmp) => macHolds({ digestInfo, salt, rounds, safe, bmp }))
    : spellings[0]
  if (!found) throw wrongPassphrase()
  return { text, bmp: found }
}

function macHolds(mac: {
  readonly digestInfo: Element | undefined
  readonly salt: Element | undefined
  readonly rounds: Element | undefined
  readonly safe: Buffer
  readonly bmp: Buffer
}): boolean {
  const [algorithm, digest] = sequenceOf(mac.digestInfo, 'a digest')
  const [type] = sequenceOf(algorithm, 'a hash')
  const name = oidOf(type, 'a hash')
  if (name === oids.pbmac1) throw notRead('A MAC by PBMAC1 (RFC 9579)', ': export it without')
  const by = macHashes[name]
  if (by === undefined) throw notRead(`A MAC by ${name}`)
  const expected = contentsOf(expectTag(digest, tags.octetString, 'a digest'))
  const password = mac.bmp
  const iterations = mac.rounds
    ? boundedRounds(contentsOf(expectTag(mac.rounds, tags.integer, 'a count')), mostRounds.pkcs12)
    : 1
  const salt = contentsOf(expectTag(mac.salt, tags.octetString, 'a salt'))
  const length = expected.length
  const key = derived({ by, purpose: 'mac', password, salt, iterations, length })
  const made = createHmac(by, key).update(mac.safe).digest()
  return made.length === length && timingSafeEqual(made, expected)
}

/** The bags of a part of the store, decrypted. */
function bagsOf(part: Element, secret: Passphrase): Element {
  const { type, content } = contentOf(part)
  if (type === oids.pkcs7Data) return elementOf(joinedOctets(content))
  if (type === oids.pkcs7EnvelopedData) throw notRead('A store that is encrypted for a public key')
  if (type !== oids.pkcs7EncryptedData) throw malformed('a part of a PKCS#12 store')
  const [, info] = sequenceOf(content, 'encrypted data')
  const [inner, algorithm, octets] = sequenceOf(info, 'encrypted contents')
  if (oidOf(inner, 'a content type') !== oids.pkcs7Data) throw malformed('encrypted contents')
  return unlocked(decrypted(algorithm, joinedOctets(octets), secret))
}

/** What a wrong passphrase made of it now and then looks like padding, and never like a SEQUENCE. */
function unlocked(plain: Buffer): Element {
  if (plain[0] !== tags.sequence) throw wrongPassphrase()
  return elementOf(plain)
}

type Reading = { readonly found: StoreContents; readonly depth: number }

/** SafeContents (RFC 7292 4.2): keys and certificates; revocation lists and secrets are passed over. */
function readBags(bags: Element, secret: Passphrase, { found, depth }: Reading): void {
  if (depth === 0) throw malformed('stores nested too deeply')
  for (const bag of sequenceOf(bags, 'the bags of a store')) {
    const [type, wrapper] = sequenceOf(bag, 'a bag')
    const value = wrapper?.children[0]
    if (value === undefined) throw malformed('an empty bag')
    switch (oidOf(type, 'a bag type')) {
      case oids.keyBag:
        found.keys.push(encodedOf(value))
        break
      case oids.pkcs8ShroudedKeyBag:
        found.keys.push(decryptedKey(value, secret))
        break
      case oids.certBag:
        found.certificates.push(...certificateIn(value))
        break
      case oids.safeContentsBag:
        readBags(value, secret, { found, depth: depth - 1 })
    }
    if (found.keys.length + found.certificates.length > mostEntries)
      throw new X509Error('store-refused', `Send a store with at most ${mostEntries} entries`)
  }
}

function certificateIn(value: Element): readonly Buffer[] {
  const [type, wrapper] = sequenceOf(value, 'a certificate bag')
  if (oidOf(type, 'a certificate type') !== oids.x509Certificate) return []
  return [joinedOctets(wrapper?.children[0])]
}

/** EncryptedPrivateKeyInfo (RFC 5958 3), decrypted: PKCS#8. */
export function decryptedKey(value: Element, secret: Passphrase): Buffer {
  const [algorithm, octets, ...more] = sequenceOf(value, 'an encrypted key')
  if (more.length > 0) throw malformed('an encrypted key')
  const plain = decrypted(algorithm, joinedOctets(octets), secret)
  return encodedOf(unlocked(plain))
}
