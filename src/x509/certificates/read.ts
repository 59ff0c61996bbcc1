import { hash } from 'node:crypto'
import { type Element, malformed, readDer, tags } from '../der/encoding.ts'
import {
  contentsOf,
  encodedOf,
  expectTag,
  numberOf,
  octetsOf,
  sequenceOf,
  unsignedOf,
} from '../der/fields.ts'
import { oidOf } from '../der/oids.ts'
import { timeOf, type Validity } from '../der/time.ts'
import { type AuthorityAlgorithm, algorithmOfElement, keyIdentifier } from '../keys/public.ts'
import { verifies, verifiesItself } from '../keys/sign.ts'
import { distinguishedNameOf, type Name } from '../names/distinguished.ts'
import { type Extension, type ExtensionValues, extensionsOf, readExtensions } from './facts.ts'

/** The fields of a TBSCertificate (RFC 5280 4.1.2), and what its extensions say. */
export type Tbs = ExtensionValues & {
  readonly version: number
  /** Lower-case hex of whole octets, as `canonicalSerial` writes it. */
  readonly serial: string
  readonly issuerDer: Buffer
  readonly issuer: Name
  readonly subjectDer: Buffer
  readonly subject: Name
  readonly validity: Validity
  readonly validityDer: Buffer
  readonly spki: Buffer
  /** Undefined when the key is of a kind we do not certify. */
  readonly keyAlgorithm: AuthorityAlgorithm | undefined
  /** The AlgorithmIdentifier inside the signed part. */
  readonly innerAlgorithm: Buffer
  readonly extensions: readonly Extension[]
}

/** A certificate as read; `der` and all other buffers are views of the bytes given. */
export type ParsedCertificate = Tbs & {
  readonly der: Buffer
  readonly tbs: Buffer
  /** The AlgorithmIdentifier in DER, and its object identifier. */
  readonly signatureAlgorithmDer: Buffer
  readonly signatureAlgorithm: string
  readonly signature: Buffer
}

/** Reads a certificate of version 1 to 3, strictly, by its DER (RFC 5280 4.1); throws
 *  `der-malformed` for anything else. Trust is not asked here: see `verifyIssued`. */
export function readCertificate(der: Buffer): ParsedCertificate {
  const [tbs, algorithm, bits, ...more] = sequenceOf(readDer(der), 'a certificate')
  if (tbs === undefined || algorithm === undefined || more.length > 0)
    throw malformed('a certificate has three parts')
  const [identifier] = sequenceOf(algorithm, 'signatureAlgorithm')
  const fields = tbsOf(tbs)
  if (!fields.innerAlgorithm.equals(encodedOf(algorithm)))
    throw malformed('the inner and outer signature algorithms differ')
  return {
    ...fields,
    der,
    tbs: encodedOf(tbs),
    signatureAlgorithmDer: encodedOf(algorithm),
    signatureAlgorithm: oidOf(identifier, 'signatureAlgorithm'),
    signature: octetsOf(bits, 'signatureValue'),
  }
}

/** Reads the bytes about to be signed, by the same strict reader. */
export function readTbs(der: Buffer): Tbs {
  return tbsOf(readDer(der))
}

function tbsOf(element: Element): Tbs {
  const fields = [...sequenceOf(element, 'a tbsCertificate')]
  const stated = fields[0]?.tag === 0xa0 ? fields.shift() : undefined
  const version = stated ? versionOf(stated) : 1
  const [serial, algorithm, issuer, validity, subject, spki, ...optional] = fields
  if (!algorithm || !issuer || !validity || !subject || !spki)
    throw malformed('a tbsCertificate that breaks off')
  const [notBefore, notAfter, ...later] = sequenceOf(validity, 'validity')
  if (later.length > 0) throw malformed('validity has two times')
  const extensions = extensionsIn(optional, version)
  return {
    version,
    serial: unsignedOf(serial, 'serialNumber').toString('hex'),
    issuerDer: encodedOf(issuer),
    issuer: distinguishedNameOf(issuer),
    subjectDer: encodedOf(subject),
    subject: distinguishedNameOf(subject),
    validity: { notBefore: timeOf(notBefore, 'notBefore'), notAfter: timeOf(notAfter, 'notAfter') },
    validityDer: encodedOf(validity),
    spki: encodedOf(spki),
    keyAlgorithm: algorithmOfElement(spki),
    innerAlgorithm: encodedOf(expectTag(algorithm, tags.sequence, 'signature')),
    extensions,
    ...readExtensions(extensions),
  }
}

function versionOf(stated: Element): number {
  const value = expectTag(stated.children[0], tags.integer, 'version')
  const version = numberOf(contentsOf(value), 'version') + 1
  if (version > 3 || stated.children.length > 1) throw malformed('an unknown version')
  return version
}

/** issuerUniqueID [1] and subjectUniqueID [2] may precede the extensions [3], in this order. */
function extensionsIn(optional: readonly Element[], version: number): readonly Extension[] {
  const order = [0x81, 0x82, 0xa3]
  const places = optional.map((element) => order.indexOf(element.tag))
  if (places.some((place, i) => place < 0 || place <= (places[i - 1] ?? -1)))
    throw malformed('an unknown part of tbsCertificate')
  const wrapper = optional.find((element) => element.tag === 0xa3)
  if (wrapper === undefined) return []
  if (version !== 3) throw malformed('extensions need version 3')
  if (wrapper.children.length !== 1) throw malformed('extensions')
  return extensionsOf(wrapper.children[0])
}

/** SHA-256 over the whole certificate, in lower-case hex. */
export function fingerprintSha256(der: Buffer): string {
  return hash('sha256', der, 'hex')
}

/** How certificates name the key of this issuer (RFC 5280 4.2.1.1): by its subjectKeyIdentifier, or,
 *  where it has none, as one made here would be; verifiers then have nothing to compare it with. */
export function issuerKeyIdentifier(
  issuer: Pick<ParsedCertificate, 'subjectKeyIdentifier' | 'spki'>,
): Buffer {
  return issuer.subjectKeyIdentifier ?? keyIdentifier(issuer.spki)
}

/** Whether revocation lists by this issuer are taken: a key without keyUsage may do anything
 *  (RFC 5280 4.2.1.3). */
export function signsLists({ keyUsage }: Pick<ParsedCertificate, 'keyUsage'>): boolean {
  return keyUsage.length === 0 || keyUsage.includes('cRLSign')
}

/** Whether the key in `spki` made this certificate's signature (SHA-2 algorithms only). */
export function isSignedBy(certificate: ParsedCertificate, spki: Buffer): boolean {
  const { tbs, signatureAlgorithmDer, signature } = certificate
  return verifies({ bytes: tbs, algorithm: readDer(signatureAlgorithmDer), signature }, spki)
}

/** Whether its own key made its signature, also by SHA-1 as roots of before have it. */
export function isSelfSigned({ tbs, signatureAlgorithmDer, signature, spki }: ParsedCertificate) {
  return verifiesItself({ bytes: tbs, algorithm: readDer(signatureAlgorithmDer), signature }, spki)
}
