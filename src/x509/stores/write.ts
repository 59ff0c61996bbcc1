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
} from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { oid, oids } from '../der/oids.ts'
import { bigEndian, bmpPassword, derived } from './derive.ts'

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
  /** As tools of before open it. */
  readonly compatibility?: Compatibility | undefined
}

/** Certificates to trust, for one password. */
export type TrustStoreInput = {
  readonly certificates: readonly { readonly der: Buffer; readonly friendlyName: string }[]
  readonly password: string
  readonly random: Buffer
  readonly compatibility?: Compatibility | undefined
}

/** modern: AES-256 and SHA-256; legacy: 3DES and SHA-1, which is what macOS and Windows and Java of before open. */
export type Compatibility = 'modern' | 'legacy'

const iterations = 10_000
/** As OpenSSL 1 has it: the derivation of PKCS#12 keeps the thread. */
const legacyIterations = 2048
const derive = promisify(pbkdf2)

/** A PKCS#12 store of a key and its chain (RFC 7292), encrypted by PBES2 with PBKDF2-HMAC-SHA-256 and
 *  AES-256-CBC (RFC 8018 6.2), its MAC by SHA-256: what OpenSSL 3 and Java 17 open by default. Where legacy is asked
 *  for, by 3DES and SHA-1 (RFC 7292 C).
 *  Throws `store-refused` for a
 *  password that is empty or not ASCII. */
export async function toPkcs12(input: KeyStoreInput): Promise<Buffer> {
  const { privateKey, certificate, chain, password, friendlyName, compatibility } = input
  opens(password)
  const [keySalt, keyIv, certSalt, certIv, macSalt] = cut(input.random)
  const localKey = hash('sha256', certificate, 'buffer').subarray(0, 20)
  const attributes = [
    attribute(oids.friendlyName, bmpString(friendlyName)),
    attribute(oids.localKeyId, octetString(localKey)),
  ]
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
  const sealed = await encrypted(pkcs8, { password, salt: keySalt, iv: keyIv, compatibility })
  const keyBag = bag(
    oids.pkcs8ShroudedKeyBag,
    sequence(sealed.algorithm, octetString(sealed.contents)),
    attributes,
  )
  const certBags = [certBag(certificate, attributes), ...chain.map((der) => certBag(der, []))]
  const certs = await encryptedSafe(certBags, {
    password,
    salt: certSalt,
    iv: certIv,
    compatibility,
  })
  return pfx([certs, dataContent(sequence(keyBag))], { password, salt: macSalt, compatibility })
}

/** A PKCS#12 store of trusted certificates only. Each carries the attribute without which Java does
 *  not take a certificate for trusted. */
export async function toTrustStore(input: TrustStoreInput): Promise<Buffer> {
  const { certificates, password, compatibility } = input
  opens(password)
  const [, , salt, iv, macSalt] = cut(input.random)
  const trusted = attribute(oids.javaTrustedKeyUsage, oid(oids.anyExtendedKeyUsage))
  const bags = certificates.map(({ der, friendlyName }) =>
    certBag(der, [attribute(oids.friendlyName, bmpString(friendlyName)), trusted]),
  )
  const safe = await encryptedSafe(bags, { password, salt, iv, compatibility })
  return pfx([safe], { password, salt: macSalt, compatibility })
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

type Secret = {
  readonly password: string
  readonly salt: Buffer
  readonly compatibility: Compatibility | undefined
}

function encrypted(plain: Buffer, secret: Secret & { readonly iv: Buffer }) {
  return secret.compatibility === 'legacy' ? encryptedLegacy(plain, secret) : byPbes2(plain, secret)
}

/** PBES2 (RFC 8018 6.2, appendix A.4). */
async function byPbes2(
  plain: Buffer,
  { password, salt, iv }: Secret & { readonly iv: Buffer },
): Promise<Encrypted> {
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

type Encrypted = { readonly algorithm: Buffer; readonly contents: Buffer }

/** pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 C). */
function encryptedLegacy(plain: Buffer, { password, salt }: Secret): Encrypted {
  const from = {
    ...({ by: 'sha1', password: bmpPassword(password) } as const),
    ...{ salt, iterations: legacyIterations },
  }
  const key = derived({ ...from, purpose: 'key', length: 24 })
  const iv = derived({ ...from, purpose: 'iv', length: 8 })
  const cipher = createCipheriv('des-ede3-cbc', key, iv)
  const parameters = sequence(octetString(salt), integer(legacyIterations))
  return {
    algorithm: sequence(oid(oids.pbeSha1TripleDes), parameters),
    contents: Buffer.concat([cipher.update(plain), cipher.final()]),
  }
}

/** A ContentInfo of encryptedData over SafeContents (RFC 7292 4.1). */
async function encryptedSafe(
  bags: readonly Buffer[],
  secret: Secret & { readonly iv: Buffer },
): Promise<Buffer> {
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

/** PFX with its MAC over the authenticated safe (RFC 7292 4). */
function pfx(contents: readonly Buffer[], { password, salt, compatibility }: Secret): Buffer {
  const safe = sequence(...contents)
  const legacy = compatibility === 'legacy'
  const by = legacy ? 'sha1' : 'sha256'
  const rounds = legacy ? legacyIterations : iterations
  const from = { password: bmpPassword(password), salt, iterations: rounds } as const
  const key = derived({ ...from, by, purpose: 'mac', length: legacy ? 20 : 32 })
  const mac = createHmac(by, key).update(safe).digest()
  const digest = sequence(sequence(oid(oids[by]), derNull), octetString(mac))
  return sequence(
    integer(3),
    dataContent(safe),
    sequence(digest, octetString(salt), integer(rounds)),
  )
}
