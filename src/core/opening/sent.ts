import type { KeyObject } from 'node:crypto'
import { Problem, type ProblemType, refuse } from '../../shared/problem.ts'
import { type ParsedCertificate, readCertificate } from '../../x509/certificates/read.ts'
import { readHeader } from '../../x509/der/encoding.ts'
import { X509Error } from '../../x509/der/errors.ts'
import { octetsOfBlock, type PemBlock, pemBlocks } from '../../x509/der/pem.ts'
import { isEncrypted, isPrivateKey, loadPrivateKey, privateKeyOf } from '../../x509/keys/private.ts'
import { spkiOf } from '../../x509/keys/public.ts'
import type { Context } from '../context.ts'
import { orRefuse } from '../refusal.ts'
import { openSealed } from './open.ts'

/** Certificates and a key as other systems hand them out: PEM, or a PKCS#12 store in base64. */
export type Sent = {
  readonly certificate?: string
  readonly privateKey?: string
  readonly pkcs12?: string
  readonly passphrase?: string
}

/** What was read, each certificate once; the fields that it came in are for refusals. */
export type ReadSent = {
  readonly certificates: readonly ParsedCertificate[]
  readonly privateKey: KeyObject | undefined
  readonly field: '/certificate' | '/pkcs12'
  readonly keyField: '/certificate' | '/privateKey' | '/pkcs12'
}

/** For whom it is opened, and by which problem it is refused. */
export type Reading = { readonly party: string; readonly type: ProblemType }

/** Reads what was sent. Whatever opened it, our own reader reads each certificate, and OpenSSL each key, before
 *  anything is believed. Throws a problem of `type` for what cannot be read, busy. */
export async function readSent(ctx: Context, sent: Sent, reading: Reading): Promise<ReadSent> {
  const { pkcs12, certificate, privateKey } = sent
  if ((pkcs12 === undefined) === (certificate === undefined)) {
    throw new Problem(reading.type, 'Send certificate (PEM) or pkcs12 (base64), one of the two')
  }
  if (pkcs12 === undefined) return readTexts(ctx, sent, reading)
  if (privateKey !== undefined) {
    throw new Problem(reading.type, 'privateKey: the store has the key; leave one of them out')
  }
  const store = await orRefuse(reading.type, '/pkcs12', async () =>
    openSealed(ctx, reading.party, {
      store: base64Of(pkcs12),
      passphrase: sent.passphrase ?? '',
    }),
  )
  return orRefuse(reading.type, '/pkcs12', () => ({
    certificates: readAll(store.certificates),
    privateKey: onlyKey(store.keys.map(loadPrivateKey)),
    field: '/pkcs12',
    keyField: '/pkcs12',
  }))
}

async function readTexts(
  ctx: Context,
  { certificate = '', privateKey = '', passphrase }: Sent,
  { party, type }: Reading,
): Promise<ReadSent> {
  const blocks = orRefuse(type, '/certificate', () => textBlocks(certificate))
  const certificates = orRefuse(type, '/certificate', () =>
    readAll(blocks.filter(({ label }) => !label.endsWith('PRIVATE KEY')).map(certificateOctets)),
  )
  const own = orRefuse(type, '/privateKey', () => textBlocks(privateKey).filter(isPrivateKey))
  const keyField = privateKey === '' ? '/certificate' : '/privateKey'
  if (privateKey !== '' && own.length === 0) {
    refuse(type, [{ field: keyField, message: 'There is no private key in PEM in the text' }])
  }
  const keys: KeyObject[] = []
  for (const block of [...blocks.filter(isPrivateKey), ...own]) {
    keys.push(
      await orRefuse(type, keyField, async () =>
        isEncrypted(block)
          ? decryptedBlock(ctx, block, { party, passphrase })
          : privateKeyOf(block),
      ),
    )
  }
  const key = orRefuse(type, keyField, () => onlyKey(keys))
  return { certificates, privateKey: key, field: '/certificate', keyField }
}

async function decryptedBlock(
  ctx: Context,
  block: PemBlock,
  { party, passphrase }: { party: string; passphrase: string | undefined },
): Promise<KeyObject> {
  if (passphrase === undefined) {
    throw new X509Error('store-refused', 'The private key is encrypted: send its passphrase')
  }
  const { keys } = await openSealed(ctx, party, { block, passphrase })
  const key = onlyKey(keys.map(loadPrivateKey))
  if (!key) throw new X509Error('store-refused', 'There is no private key in it')
  return key
}

const mostBlocks = { bytes: 1 << 18, blocks: 40 }

/** What stands beside certificates and says nothing of them. */
const beside: ReadonlySet<string> = new Set(['EC PARAMETERS', 'DH PARAMETERS', 'X509 CRL'])
const certificateLabels: ReadonlySet<string> = new Set(['CERTIFICATE', 'TRUSTED CERTIFICATE'])

/** What else is met where certificates are asked for, and what to do with it. */
const strangers: Readonly<Record<string, string>> = {
  PKCS7: 'a PKCS#7 bundle: write its certificates as PEM (openssl pkcs7 -print_certs)',
  CMS: 'a PKCS#7 bundle: write its certificates as PEM (openssl pkcs7 -print_certs)',
  'CERTIFICATE REQUEST': 'a certificate request: send the certificate that was made of it',
  'PUBLIC KEY': 'a public key alone',
}

function textBlocks(text: string): readonly PemBlock[] {
  const blocks = pemBlocks(text, mostBlocks).filter(({ label }) => !beside.has(label))
  const strange = blocks.find((one) => !isPrivateKey(one) && !certificateLabels.has(one.label))
  if (!strange) return blocks
  const what = strangers[strange.label] ?? `a block "${strange.label}"`
  throw new X509Error('pem-malformed', `There is ${what}`)
}

/** OpenSSL's TRUSTED CERTIFICATE is one with a note of its own behind it, which is left out. */
function certificateOctets(block: PemBlock): Buffer {
  const octets = octetsOfBlock(block)
  if (block.label === 'CERTIFICATE') return octets
  return octets.subarray(0, readHeader(octets, 0, octets.length).end)
}

/** Who signed whom is asked of each and each other. */
const mostCertificates = 16

function readAll(ders: readonly Buffer[]): readonly ParsedCertificate[] {
  const once = new Map(ders.map((der) => [der.toString('latin1'), der]))
  if (once.size > mostCertificates) {
    throw new X509Error(
      'pem-too-large',
      `There are ${once.size} certificates in it: send one with those above it, ${mostCertificates} at most`,
    )
  }
  if (once.size === 0) throw new X509Error('pem-malformed', 'There is no certificate in it')
  return [...once.values()].map(readCertificate)
}

/** The one key, however often it is there. */
function onlyKey(keys: readonly KeyObject[]): KeyObject | undefined {
  const different = new Set(keys.map((key) => spkiOf(key).toString('latin1')))
  if (different.size > 1) {
    throw new X509Error('store-refused', 'There are several private keys in it: send one of them')
  }
  return keys[0]
}

function base64Of(text: string): string {
  const bare = text
    .replace(/[\s\ufeff]+/g, '')
    .replace(/-/g, '+')
    .replace(/_/g, '/')
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(bare)) return bare
  throw new X509Error('store-refused', 'Send the PKCS#12 store in base64')
}
