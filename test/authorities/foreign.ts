import { hash, randomBytes } from 'node:crypto'
import {
  authorityKeyExtension,
  basicConstraintsExtension,
  extension,
  keyUsageExtension,
} from '../../src/x509/certificates/extensions.ts'
import {
  bitString,
  context,
  derNull,
  integer,
  octetString,
  sequence,
} from '../../src/x509/der/encoding.ts'
import { oid, oids } from '../../src/x509/der/oids.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { encodeTime } from '../../src/x509/der/time.ts'
import { generateKey, type KeyPair } from '../../src/x509/keys/generate.ts'
import { keyBits, spkiOf } from '../../src/x509/keys/public.ts'
import { keySigner, type Signer, signatureAlgorithmOf } from '../../src/x509/keys/sign.ts'
import { encodeName } from '../../src/x509/names/distinguished.ts'

/** A CA, or a leaf, that was made elsewhere and not as we would. */
export type Foreign = {
  readonly pem: string
  readonly key: string
  readonly keys: KeyPair
  readonly subject: Buffer
  readonly signer: Signer
  readonly ski: Buffer | undefined
}

const day = 86_400_000

/** Forms of subjectKeyIdentifier that are met: the first is what openssl and most others write. */
export const identifiers = {
  sha1: (bits: Buffer) => hash('sha1', bits, 'buffer'),
  sha256: (bits: Buffer) => hash('sha256', bits, 'buffer'),
  sha256cut: (bits: Buffer) => hash('sha256', bits, 'buffer').subarray(0, 20),
  random: () => randomBytes(12),
  none: () => undefined,
} as const

/** What a foreign certificate says; all else is as openssl would have it. */
export type Said = {
  readonly name: string
  /** Instead of one of the name. */
  readonly subject?: Buffer
  readonly issuer?: Foreign
  /** Instead of the issuer's subject, and of what names its key. */
  readonly issuerName?: Buffer
  readonly authorityKey?: Buffer
  readonly ski?: keyof typeof identifiers
  readonly basic?: Buffer
  readonly usage?: readonly Buffer[]
  readonly extensions?: readonly Buffer[]
  readonly days?: number
  /** What ECDSA has no parameters for, and some write all the same. */
  readonly nullParameters?: boolean
  /** The key of another one, for a certificate in its place. */
  readonly key?: KeyPair
}

/** Makes one by hand: any extensions, in any form. */
export async function foreign(said: Said): Promise<Foreign> {
  const keys = said.key ?? (await generateKey('ECDSA_P256'))
  const { privateKey, publicKey } = keys
  const { name, issuer, ski: form = 'sha1', days = issuer ? 300 : 400 } = said
  const { subject = encodeName({ commonName: name }), extensions = [] } = said
  const spki = spkiOf(publicKey)
  const own = keySigner(privateKey)
  const ski = identifiers[form](keyBits(spki))
  const signer = issuer?.signer ?? own
  const algorithm = said.nullParameters
    ? sequence(oid(oids.ecdsaSha256), derNull)
    : signatureAlgorithmOf(signer.algorithm)
  const now = Math.floor(Date.now() / 1000) * 1000
  const begin = now - (issuer ? 1 : 2) * 3_600_000
  const tbs = sequence(
    context(0, integer(2)),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    said.issuerName ?? issuer?.subject ?? subject,
    sequence(encodeTime(new Date(begin)), encodeTime(new Date(now + days * day))),
    subject,
    spki,
    context(
      3,
      sequence(
        said.basic ?? basicConstraintsExtension(true),
        ...(said.usage ?? [keyUsageExtension(['keyCertSign', 'cRLSign'])]),
        ...(ski ? [extension(oids.subjectKeyIdentifier, false, octetString(ski))] : []),
        ...authorityKeyOf(said),
        ...extensions,
      ),
    ),
  )
  const der = sequence(tbs, algorithm, bitString(await signer.sign(tbs)))
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { pem: toPem('CERTIFICATE', der), key, keys, subject, signer: own, ski }
}

function authorityKeyOf({ authorityKey, issuer }: Said): readonly Buffer[] {
  if (authorityKey) return [authorityKey]
  return issuer?.ski ? [authorityKeyExtension(issuer.ski)] : []
}
