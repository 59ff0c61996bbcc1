import { type DerLimits, type Element, malformed, readDer, tags } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, encodedOf, expectTag, numberOf, octetsOf, sequenceOf } from '../der/fields.ts'
import { oidOf, oids } from '../der/oids.ts'
import { readPem } from '../der/pem.ts'
import {
  algorithmOfElement,
  isCertified,
  type KeyAlgorithm,
  keyAlgorithms,
  keyName,
} from '../keys/public.ts'
import { verifies } from '../keys/sign.ts'
import type { AltNames } from '../names/altnames.ts'
import { distinguishedNameOf, type Name } from '../names/distinguished.ts'
import type { KeyUsage } from './extensions.ts'
import { type Extension, extensionsOf, readExtensions } from './facts.ts'

/** A certificate request whose signature has been verified. What it `asks` is for policy to refuse:
 *  nothing of it reaches a certificate by itself. */
export type CertificateRequest = {
  readonly subject: Name
  readonly altNames: AltNames
  readonly otherAltNameKinds: readonly string[]
  readonly spki: Buffer
  readonly keyAlgorithm: KeyAlgorithm
  /** Object identifiers of the extensions requested. */
  readonly requestedExtensions: readonly string[]
  /** What it wishes beside these, each by its name: extensions that are not critical, and attributes. */
  readonly wishes: readonly string[]
  readonly asks: {
    readonly ca: boolean
    readonly keyUsage: readonly KeyUsage[]
    readonly extendedKeyUsage: readonly string[]
  }
}

const requestLimits: DerLimits = { bytes: 1 << 16, depth: 16, elements: 4000 }
const pemLimits = { bytes: 1 << 17, blocks: 1 }

/** The extensions that are read; RFC 2986 lets a request ask for anything. */
const allowed: ReadonlySet<string> = new Set([
  oids.subjectAltName,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.basicConstraints,
  oids.subjectKeyIdentifier,
])

/** Reads a PKCS#10 request (RFC 2986 4) as PEM or DER and verifies its own signature, by SHA-2 or
 *  Ed25519 only. Throws `pem-malformed`, `der-malformed`, `key-unsupported`, or `request-refused` when the signature is
 *  not good or it asks for a critical extension that is not on our list. */
export function readRequest(pemOrDer: string | Buffer): CertificateRequest {
  const [info, algorithm, bits, ...more] = sequenceOf(
    readDer(requestDer(pemOrDer), requestLimits),
    'a certificate request',
  )
  if (info === undefined || algorithm === undefined || more.length > 0)
    throw malformed('a certificate request has three parts')
  const [version, subject, spki, attributes, ...rest] = sequenceOf(info, 'certificationRequestInfo')
  const stated = numberOf(contentsOf(expectTag(version, tags.integer, 'version')), 'version')
  if (
    stated !== 0 ||
    spki === undefined ||
    (attributes && attributes.tag !== 0xa0) ||
    rest.length > 0
  )
    throw malformed('certificationRequestInfo')
  const keyAlgorithm = algorithmOfElement(spki)
  // First of all: verifying by a key of any size or kind may take any time.
  if (!isCertified(keyAlgorithm))
    throw new X509Error(
      'key-unsupported',
      `The key of the request is ${keyName(encodedOf(spki))}, none of ${keyAlgorithms.join(', ')}; make one of these`,
    )
  const signed = { bytes: encodedOf(info), algorithm, signature: octetsOf(bits, 'signature') }
  if (!verifies(signed, encodedOf(spki)))
    throw new X509Error(
      'request-refused',
      'The request is not signed by its own key with SHA-256, SHA-384, SHA-512 or Ed25519; sign it anew',
    )
  const { requested, wishes } = attributes ? requestedIn(attributes) : nothingRequested
  const { altNames, otherAltNameKinds, ca, keyUsage, extendedKeyUsage } = readExtensions(requested)
  return {
    subject: distinguishedNameOf(subject),
    altNames,
    otherAltNameKinds,
    spki: encodedOf(spki),
    keyAlgorithm,
    requestedExtensions: requested.map((one) => one.oid),
    wishes,
    asks: { ca, keyUsage, extendedKeyUsage },
  }
}

function requestDer(pemOrDer: string | Buffer): Buffer {
  if (Buffer.isBuffer(pemOrDer) && pemOrDer[0] === tags.sequence) return pemOrDer
  const text = Buffer.isBuffer(pemOrDer) ? pemOrDer.toString('latin1') : pemOrDer
  const [der] = readPem(text, 'CERTIFICATE REQUEST', pemLimits)
  if (der === undefined) throw new X509Error('pem-malformed', 'There is no request in the text')
  return der
}

/** Under which attributes extensions are asked for: RFC 2985 5.4.2, and what Microsoft's tools wrote. */
const extensionAttributes: ReadonlySet<string> = new Set([
  oids.extensionRequest,
  oids.microsoftExtensions,
])

/** Attributes that name nobody: a password for another protocol, and the machine that made the request. */
const idle: ReadonlySet<string> = new Set([
  oids.challengePassword,
  oids.microsoftCspProvider,
  oids.microsoftOsVersion,
  oids.microsoftClientInfo,
])

type Requested = { readonly requested: readonly Extension[]; readonly wishes: readonly string[] }

const nothingRequested: Requested = { requested: [], wishes: [] }

/** The extensions asked for, in one attribute at most, and what is wished beside them: other attributes, and
 *  extensions that are not on our list and may be left out. */
function requestedIn(attributes: Element): Requested {
  const read = attributes.children.map((attribute) => {
    const [type, values, ...more] = sequenceOf(attribute, 'an attribute')
    const set = expectTag(values, tags.set, 'the values of an attribute')
    if (more.length > 0 || set.children.length === 0) throw malformed('an attribute')
    return { type: oidOf(type, 'an attribute type'), values: set.children }
  })
  if (new Set(read.map(({ type }) => type)).size < read.length)
    throw malformed('an attribute that appears twice')
  const foreign = read.filter(({ type }) => !extensionAttributes.has(type) && !idle.has(type))
  const wishes = foreign.map(({ type }) => wishName(type))
  const [only, second] = read.filter(({ type }) => extensionAttributes.has(type))
  if (only === undefined) return { requested: [], wishes }
  if (second !== undefined || only.values.length !== 1)
    throw malformed('more than one extensionRequest')
  const extensions = extensionsOf(only.values[0])
  const strange = extensions.filter(({ oid }) => !allowed.has(oid))
  const refused = strange.filter(({ critical }) => critical).map(({ oid }) => wishName(oid))
  if (refused.length > 0)
    throw new X509Error(
      'request-refused',
      `The request asks for critical extensions that are not granted (${refused.join(', ')}); leave them out`,
    )
  return {
    requested: extensions.filter(({ oid }) => allowed.has(oid)),
    wishes: [...wishes, ...strange.map(({ oid }) => wishName(oid))],
  }
}

function wishName(type: string): string {
  const name = wishNames[type]
  return name === undefined ? type : `${name} (${type})`
}

/** What tools ask for, by the names of their makers. */
const wishNames: Readonly<Record<string, string>> = {
  [oids.unstructuredName]: 'unstructuredName',
  '1.2.840.113549.1.9.8': 'unstructuredAddress',
  '1.2.840.113549.1.9.15': 'SMIMECapabilities',
  [oids.nameConstraints]: 'nameConstraints',
  [oids.certificatePolicies]: 'certificatePolicies',
  [oids.crlDistributionPoints]: 'cRLDistributionPoints',
  [oids.authorityInfoAccess]: 'authorityInfoAccess',
  [oids.authorityKeyIdentifier]: 'authorityKeyIdentifier',
  [oids.issuerAltName]: 'issuerAltName',
  '1.3.6.1.5.5.7.1.24': 'tlsFeature',
  '2.16.840.1.113730.1.1': 'nsCertType',
  '2.16.840.1.113730.1.13': 'nsComment',
  '1.3.6.1.4.1.311.13.1': 'Microsoft renewal certificate',
  '1.3.6.1.4.1.311.13.2.1': 'Microsoft enrollment pair',
  '1.3.6.1.4.1.311.20.2': 'Microsoft template name',
  '1.3.6.1.4.1.311.21.7': 'Microsoft template',
  '1.3.6.1.4.1.311.21.10': 'Microsoft application policies',
}
