import { createCipheriv, createHmac, hash, type KeyObject, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import {
  context,
  contextPrimitive,
  derNull,
  integer,
  octetString,
  sequence,
  setOf,
  tags,
  tlv,
} from './der/encoding.ts'
import { X509Error } from './der/errors.ts'
import { oid, oids } from './der/oids.ts'

/** A key with its certificate and chain, for one password. */
export type KeyStoreInput = {
  readonly privateKey: KeyObject
  /** DER of the certificate and, nearest first, of the chain above it. */
  readonly certificate: Buffer
  readonly chain: readonly Buffer[]
  readonly password: string
  readonly friendlyName: string
  /** At least 80 octets of a CSPRNG: salts and initial vectors are cut from it. */
  readonly random: Buffer
}

/** Certificates to trust, for one password. */
export type TrustStoreInput = {
  readonly certificates: readonly { readonly der: Buffer; readonly friendlyName: string }[]
  readonly password: string
  readonly random: Buffer
}

const iterations = 10_000
const derive = promisify(pbkdf2)

/** A PKCS#12 store of a key and its chain (RFC 7292), encrypted by PBES2 with PBKDF2-HMAC-SHA-256 and
 *  AES-256-CBC (RFC 8018 6.2), its MAC by SHA-256: what OpenSSL 3 and Java 17 open by default.
 *  Throws `store-refused` for a
 *  password that is empty or not ASCII. */
export async function toPkcs12(input: KeyStoreInput): Promise<Buffer> {
  const { privateKey, certificate, chain, password, friendlyName } = input
  opens(password)
  const [keySalt, keyIv, certSalt, certIv, macSalt] = cut(input.random)
  const localKey = hash('sha256', certificate, 'buffer').subarray(0, 20)
  const attributes = [
    attribute(oids.friendlyName, bmpString(friendlyName)),
    attribute(oids.localKeyId, octetString(localKey)),
  ]
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
  const sealed = await encrypted(pkcs8, { password, salt: keySalt, iv: keyIv })
  const keyBag = bag(
    oids.pkcs8ShroudedKeyBag,
    sequence(sealed.algorithm, octetString(sealed.contents)),
    attributes,
  )
  const certBags = [certBag(certificate, attributes), ...chain.map((der) => certBag(der, []))]
  const certs = await encryptedSafe(certBags, { password, salt: certSalt, iv: certIv })
  return pfx([certs, dataContent(sequence(keyBag))], password, macSalt)
}

/** A PKCS#12 store of trusted certificates only. Each carries the attribute without which Java does
 *  not take a certificate for trusted. */
export async function toTrustStore(input: TrustStoreInput): Promise<Buffer> {
  const { certificates, password } = input
  opens(password)
  const [, , salt, iv, macSalt] = cut(input.random)
  const trusted = attribute(oids.javaTrustedKeyUsage, oid(oids.anyExtendedKeyUsage))
  const bags = certificates.map(({ der, friendlyName }) =>
    certBag(der, [attribute(oids.friendlyName, bmpString(friendlyName)), trusted]),
  )
  return pfx([await encryptedSafe(bags, { password, salt, iv })], password, macSalt)
}

/** Why a store cannot have this password, or undefined: Java derives PBES2 keys from ASCII passwords
 *  only, and would call any other incorrect. */
export function passwordFault(password: string): string | undefined {
  return /^[\x20-\x7e]+$/.test(password)
    ? undefined
    : 'A store needs a password of printable ASCII; Java opens no other'
}

function opens(password: string): void {
  const fault = passwordFault(password)
  if (fault !== undefined) throw new X509Error('store-refused', fault)
}

function cut(random: Buffer): readonly [Buffer, Buffer, Buffer, Buffer, Buffer] {
  if (random.length < 80)
    throw new X509Error('store-refused', 'A store takes at least 80 random octets')
  const piece = (n: number) => random.subarray(n * 16, n * 16 + 16)
  return [piece(0), piece(1), piece(2), piece(3), piece(4)]
}

type Secret = { readonly password: string; readonly salt: Buffer; readonly iv: Buffer }

/** PBES2 (RFC 8018 6.2, appendix A.4). */
async function encrypted(plain: Buffer, { password, salt, iv }: Secret) {
  const key = await derive(Buffer.from(password, 'utf8'), salt, iterations, 32, 'sha256')
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  const prf = sequence(oid(oids.hmacSha256), derNull)
  const derivation = sequence(
    oid(oids.pbkdf2),
    sequence(octetString(salt), integer(iterations), prf),
  )
  const scheme = sequence(oid(oids.aes256Cbc), octetString(iv))
  return {
    algorithm: sequence(oid(oids.pbes2), sequence(derivation, scheme)),
    contents: Buffer.concat([cipher.update(plain), cipher.final()]),
  }
}

/** A ContentInfo of encryptedData over SafeContents (RFC 7292 4.1). */
async function encryptedSafe(bags: readonly Buffer[], secret: Secret): Promise<Buffer> {
  const { algorithm, contents } = await encrypted(sequence(...bags), secret)
  const info = sequence(oid(oids.pkcs7Data), algorithm, contextPrimitive(0, contents))
  return sequence(oid(oids.pkcs7EncryptedData), context(0, sequence(integer(0), info)))
}

function dataContent(contents: Buffer): Buffer {
  return sequence(oid(oids.pkcs7Data), context(0, octetString(contents)))
}

function bag(type: string, value: Buffer, attributes: readonly Buffer[]): Buffer {
  const set = attributes.length > 0 ? [setOf(...attributes)] : []
  return sequence(oid(type), context(0, value), ...set)
}

function certBag(der: Buffer, attributes: readonly Buffer[]): Buffer {
  const value = sequence(oid(oids.x509Certificate), context(0, octetString(der)))
  return bag(oids.certBag, value, attributes)
}

function attribute(type: string, value: Buffer): Buffer {
  return sequence(oid(type), setOf(value))
}

function bmpString(text: string): Buffer {
  return tlv(tags.bmpString, bigEndian(text))
}

function bigEndian(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

/** PFX with its MAC over the authenticated safe (RFC 7292 4). */
function pfx(contents: readonly Buffer[], password: string, salt: Buffer): Buffer {
  const safe = sequence(...contents)
  const mac = createHmac('sha256', macKey(password, salt)).update(safe).digest()
  const digest = sequence(sequence(oid(oids.sha256), derNull), octetString(mac))
  return sequence(
    integer(3),
    dataContent(safe),
    sequence(digest, octetString(salt), integer(iterations)),
  )
}

/** The key derivation of RFC 7292 B.2 with SHA-256 and ID 3, for one block of 32 octets. */
function macKey(password: string, salt: Buffer): Buffer {
  const secret = Buffer.concat([bigEndian(password), Buffer.alloc(2)])
  let block = Buffer.concat([Buffer.alloc(64, 3), filled(salt), filled(secret)])
  for (let round = 0; round < iterations; round++) block = hash('sha256', block, 'buffer')
  return block
}

/** Repeated to whole blocks of 64 octets. */
function filled(octets: Buffer): Buffer {
  return Buffer.alloc(Math.ceil(octets.length / 64) * 64, octets)
}
