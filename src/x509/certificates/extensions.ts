import { encodeConstraints, type NameConstraints } from '../constraints/subtrees.ts'
import {
  context,
  contextPrimitive,
  derNull,
  derTrue,
  integer,
  namedBits,
  octetString,
  sequence,
} from '../der/encoding.ts'
import { oid, oids } from '../der/oids.ts'
import { type AltNames, encodeAltNames } from '../names/altnames.ts'
import { ia5Name } from '../names/generalnames.ts'

/** Key usages in the order of their bits (RFC 5280 4.2.1.3). */
export const keyUsages = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const

export type KeyUsage = (typeof keyUsages)[number]

/** Extension ::= extnID, critical DEFAULT FALSE, extnValue (RFC 5280 4.1). */
export function extension(type: string, critical: boolean, value: Buffer): Buffer {
  return critical
    ? sequence(oid(type), derTrue, octetString(value))
    : sequence(oid(type), octetString(value))
}

/** keyUsage, critical (RFC 5280 4.2.1.3). */
export function keyUsageExtension(usages: readonly KeyUsage[]): Buffer {
  const bits = usages.map((usage) => keyUsages.indexOf(usage))
  return extension(oids.keyUsage, true, namedBits(bits))
}

/** extendedKeyUsage, not critical (RFC 5280 4.2.1.12). */
export function extendedKeyUsageExtension(purposes: readonly string[]): Buffer {
  return extension(oids.extendedKeyUsage, false, sequence(...purposes.map(oid)))
}

/** basicConstraints, critical; on a leaf the empty sequence, as FALSE is the default (4.2.1.9). */
export function basicConstraintsExtension(ca: boolean, pathLength?: number): Buffer {
  const limit = pathLength === undefined ? [] : [integer(pathLength)]
  return extension(oids.basicConstraints, true, ca ? sequence(derTrue, ...limit) : sequence())
}

/** subjectKeyIdentifier, not critical (RFC 5280 4.2.1.2). */
export function subjectKeyExtension(identifier: Buffer): Buffer {
  return extension(oids.subjectKeyIdentifier, false, octetString(identifier))
}

/** authorityKeyIdentifier, not critical, the key's form only (RFC 5280 4.2.1.1). */
export function authorityKeyExtension(identifier: Buffer): Buffer {
  const value = sequence(contextPrimitive(0, identifier))
  return extension(oids.authorityKeyIdentifier, false, value)
}

/** subjectAltName, critical if and only if the subject is empty (RFC 5280 4.2.1.6). */
export function altNamesExtension(names: AltNames, critical: boolean): Buffer {
  return extension(oids.subjectAltName, critical, encodeAltNames(names))
}

/** nameConstraints, critical (RFC 5280 4.2.1.10). */
export function constraintsExtension(constraints: NameConstraints): Buffer {
  return extension(oids.nameConstraints, true, encodeConstraints(constraints))
}

/** cRLDistributionPoints with one point of one URL, not critical (RFC 5280 4.2.1.13). */
export function crlUrlExtension(url: string): Buffer {
  return extension(oids.crlDistributionPoints, false, sequence(sequence(distributionPoint(url))))
}

/** DistributionPointName: [0] EXPLICIT over [0] fullName of one URL. */
export function distributionPoint(url: string): Buffer {
  return context(0, context(0, ia5Name('uri', url)))
}

/** authorityInfoAccess, not critical (RFC 5280 4.2.2.1). */
export function accessExtension(urls: {
  readonly ocsp: string | undefined
  readonly issuer: string | undefined
}): Buffer {
  const points = [
    [oids.ocsp, urls.ocsp],
    [oids.caIssuers, urls.issuer],
  ] as const
  const written = points.flatMap(([method, url]) =>
    url === undefined ? [] : [sequence(oid(method), ia5Name('uri', url))],
  )
  return extension(oids.authorityInfoAccess, false, sequence(...written))
}

/** id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1). */
export const ocspNoCheckExtension: Buffer = extension(oids.ocspNoCheck, false, derNull)

/** Every extension that is written here, and so may be in a certificate of ours. */
export const writtenExtensions: ReadonlySet<string> = new Set([
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.basicConstraints,
  oids.subjectAltName,
  oids.nameConstraints,
  oids.crlDistributionPoints,
  oids.authorityInfoAccess,
  oids.ocspNoCheck,
])
