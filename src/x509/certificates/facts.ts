import { type NameConstraints, readConstraints } from '../constraints/subtrees.ts'
import { type Element, malformed, readDer, tags } from '../der/encoding.ts'
import {
  bitsOf,
  booleanOf,
  contentsOf,
  encodedOf,
  expectTag,
  magnitude,
  numberOf,
  sequenceOf,
} from '../der/fields.ts'
import { oidOf, oids } from '../der/oids.ts'
import { type AltNames, noAltNames, readAltNames } from '../names/altnames.ts'
import { generalNameOf } from '../names/generalnames.ts'
import { type KeyUsage, keyUsages } from './extensions.ts'

/** One extension as it stands: `value` is the DER inside extnValue, `der` the whole element. */
export type Extension = {
  readonly oid: string
  readonly critical: boolean
  readonly value: Buffer
  readonly der: Buffer
}

/** What the extensions of a certificate or a request say (RFC 5280 4.2). */
export type ExtensionValues = {
  readonly altNames: AltNames
  /** Kinds of alternative names we do not use, such as otherName. */
  readonly otherAltNameKinds: readonly string[]
  readonly keyUsage: readonly KeyUsage[]
  /** Dotted object identifiers. */
  readonly extendedKeyUsage: readonly string[]
  /** basicConstraints cA; false when absent. */
  readonly ca: boolean
  readonly pathLength?: number
  readonly authorityKeyIdentifier?: Buffer
  /** By which certificate of the issuer its key is named as well (RFC 5280 4.2.1.1). */
  readonly authorityCertificate?: AuthorityCertificate
  readonly subjectKeyIdentifier?: Buffer
  readonly nameConstraints?: NameConstraints
  readonly crlUrls: readonly string[]
  readonly ocspUrls: readonly string[]
  readonly issuerUrls: readonly string[]
  /** Critical extensions this reader does not understand: a verifier must reject the certificate. */
  readonly unknownCritical: readonly string[]
}

/** The issuer's own issuer and serial, each if stated. */
export type AuthorityCertificate = { readonly issuerDer?: Buffer; readonly serial?: string }

/** Reads Extensions: at least one, no type twice (RFC 5280 4.2). */
export function extensionsOf(element: Element | undefined): readonly Extension[] {
  const extensions = sequenceOf(element, 'extensions').map(extensionOf)
  if (extensions.length === 0) throw malformed('an empty list of extensions')
  if (new Set(extensions.map((one) => one.oid)).size < extensions.length)
    throw malformed('an extension that appears twice')
  return extensions
}

function extensionOf(element: Element): Extension {
  const parts = sequenceOf(element, 'an extension')
  const [type, second, third] = parts
  const stated = second?.tag === tags.boolean ? second : undefined
  if (parts.length > 3 || (third !== undefined && !stated)) throw malformed('an extension')
  const value = expectTag(stated ? third : second, tags.octetString, 'extnValue')
  return {
    oid: oidOf(type, 'extnID'),
    critical: stated ? booleanOf(stated) : false,
    value: contentsOf(value),
    der: encodedOf(element),
  }
}

type Reader = (value: Buffer) => Partial<ExtensionValues>

const readers: Readonly<Record<string, Reader>> = {
  [oids.subjectAltName]: (value) => {
    const { names, otherKinds } = readAltNames(value)
    return { altNames: names, otherAltNameKinds: otherKinds }
  },
  [oids.keyUsage]: (value) => ({ keyUsage: keyUsageOf(value) }),
  [oids.extendedKeyUsage]: (value) => ({ extendedKeyUsage: purposesOf(value) }),
  [oids.basicConstraints]: basicConstraintsOf,
  [oids.subjectKeyIdentifier]: (value) => ({
    subjectKeyIdentifier: contentsOf(expectTag(readDer(value), tags.octetString, 'an identifier')),
  }),
  [oids.authorityKeyIdentifier]: authorityKeyOf,
  [oids.nameConstraints]: (value) => ({ nameConstraints: readConstraints(value) }),
  [oids.crlDistributionPoints]: (value) => ({ crlUrls: crlUrlsOf(value) }),
  [oids.authorityInfoAccess]: accessOf,
}

const nothing: ExtensionValues = {
  altNames: noAltNames,
  otherAltNameKinds: [],
  keyUsage: [],
  extendedKeyUsage: [],
  ca: false,
  crlUrls: [],
  ocspUrls: [],
  issuerUrls: [],
  unknownCritical: [],
}

/** What a list of extensions says; extensions we do not know are only noted when critical. */
export function readExtensions(extensions: readonly Extension[]): ExtensionValues {
  const facts = { ...nothing }
  const unknown: string[] = []
  for (const { oid, critical, value } of extensions) {
    const reader = readers[oid]
    if (reader) Object.assign(facts, reader(value))
    else if (critical) unknown.push(oid)
  }
  return unknown.length > 0 ? { ...facts, unknownCritical: unknown } : facts
}

function keyUsageOf(value: Buffer): readonly KeyUsage[] {
  const bits = bitsOf(contentsOf(expectTag(readDer(value), tags.bitString, 'keyUsage')), 'keyUsage')
  return bits.flatMap((bit) => keyUsages[bit] ?? [])
}

function purposesOf(value: Buffer): readonly string[] {
  const purposes = sequenceOf(readDer(value), 'extendedKeyUsage')
  if (purposes.length === 0) throw malformed('an empty extendedKeyUsage')
  return purposes.map((purpose) => oidOf(purpose, 'a purpose'))
}

function basicConstraintsOf(value: Buffer): Partial<ExtensionValues> {
  const [first, second, ...more] = sequenceOf(readDer(value), 'basicConstraints')
  const stated = first?.tag === tags.boolean ? first : undefined
  const limit = stated ? second : first
  if (more.length > 0 || (!stated && second)) throw malformed('basicConstraints')
  const ca = stated ? booleanOf(stated) : false
  if (limit === undefined) return { ca }
  const contents = contentsOf(expectTag(limit, tags.integer, 'pathLenConstraint'))
  return { ca, pathLength: numberOf(contents, 'pathLenConstraint') }
}

function authorityKeyOf(value: Buffer): Partial<ExtensionValues> {
  const parts = sequenceOf(readDer(value), 'an identifier')
  const key = parts.find((part) => part.tag === 0x80)
  const names = parts.find((part) => part.tag === 0xa1)
  const serial = parts.find((part) => part.tag === 0x82)
  const name = names?.children.find((one) => one.tag === 0xa4)?.children[0]
  const certificate = {
    ...(name ? { issuerDer: encodedOf(name) } : {}),
    ...(serial ? { serial: magnitude(contentsOf(serial), 'a serial').toString('hex') } : {}),
  }
  return {
    ...(key ? { authorityKeyIdentifier: contentsOf(key) } : {}),
    ...(name || serial ? { authorityCertificate: certificate } : {}),
  }
}

function crlUrlsOf(value: Buffer): readonly string[] {
  const points = sequenceOf(readDer(value), 'cRLDistributionPoints')
  return points.flatMap((point) => {
    const [first] = sequenceOf(point, 'a distribution point')
    return first?.tag === 0xa0 ? urlsOfPoint(first) : []
  })
}

/** The URLs of a DistributionPointName inside its [0]. */
export function urlsOfPoint(point: Element): readonly string[] {
  const [fullName] = point.children
  if (fullName?.tag !== 0xa0) return []
  return fullName.children.flatMap((child) => {
    const name = generalNameOf(child)
    return name.kind === 'uri' ? [name.value] : []
  })
}

function accessOf(value: Buffer): Partial<ExtensionValues> {
  const urls: Record<string, string[]> = { [oids.ocsp]: [], [oids.caIssuers]: [] }
  for (const access of sequenceOf(readDer(value), 'authorityInfoAccess')) {
    const [method, location] = sequenceOf(access, 'an access description')
    const name = location ? generalNameOf(location) : undefined
    if (name?.kind === 'uri') urls[oidOf(method, 'an access method')]?.push(name.value)
  }
  return { ocspUrls: urls[oids.ocsp] ?? [], issuerUrls: urls[oids.caIssuers] ?? [] }
}
