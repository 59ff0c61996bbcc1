import type { NameConstraints } from '../constraints/subtrees.ts'
import { context, integer, sequence } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { oids } from '../der/oids.ts'
import { encodeTime, type Validity } from '../der/time.ts'
import { type AuthorityAlgorithm, keyAlgorithmOf } from '../keys/public.ts'
import { signatureAlgorithmOf } from '../keys/sign.ts'
import { type AltNames, countAltNames } from '../names/altnames.ts'
import type { DistinguishedName } from '../names/attributes.ts'
import { emptyName, encodeName } from '../names/distinguished.ts'
import {
  accessExtension,
  altNamesExtension,
  authorityKeyExtension,
  basicConstraintsExtension,
  constraintsExtension,
  crlUrlExtension,
  extendedKeyUsageExtension,
  type KeyUsage,
  keyUsageExtension,
  ocspNoCheckExtension,
  subjectKeyExtension,
} from './extensions.ts'
import { profilePurposes } from './purposes.ts'

export type { Validity } from '../der/time.ts'

/** What a certificate is for. A peer is server and client at once. */
export const profiles = ['server', 'client', 'peer', 'root', 'intermediate', 'ocsp'] as const

export type CertificateProfile = (typeof profiles)[number]

/** What every certificate of one issuer has in common: encode it once with `prepareIssuer`. */
export type IssuerPart = {
  /** The issuer's subject, copied byte for byte (RFC 5280 4.1.2.4). */
  readonly issuer: Buffer
  /** The issuer's subjectKeyIdentifier; absent on a root. */
  readonly authorityKeyIdentifier?: Buffer
  readonly crlUrl?: string
  readonly ocspUrl?: string
  readonly issuerUrl?: string
  readonly signerAlgorithm: AuthorityAlgorithm
}

/** What one certificate says of its own. */
export type SubjectPart = {
  /** Lower-case hex, see `serialFrom`. */
  readonly serial: string
  readonly validity: Validity
  /** As fields, or as the bytes of a Name when cross-signing. */
  readonly subject: DistinguishedName | Buffer
  readonly spki: Buffer
  readonly profile: CertificateProfile
  readonly altNames: AltNames
  /** Undefined in what stands for a certificate that has none. */
  readonly subjectKeyIdentifier: Buffer | undefined
  readonly pathLength?: number
  /** What an authority is limited to, and whether it signs no lists: for what stands for others'. */
  readonly purposes?: readonly string[]
  readonly listless?: boolean
  readonly nameConstraints?: NameConstraints
}

/** Everything a certificate says. */
export type Template = IssuerPart & SubjectPart

/** The encoded pieces of an issuer, reused for each of its certificates. */
export type PreparedIssuer = {
  readonly signatureAlgorithm: Buffer
  readonly issuer: Buffer
  readonly authorityKey: readonly Buffer[]
  readonly urls: readonly Buffer[]
}

/** Encodes once what all certificates of an issuer share. */
export function prepareIssuer(part: IssuerPart): PreparedIssuer {
  const { crlUrl, ocspUrl, issuerUrl, authorityKeyIdentifier } = part
  const access = { ocsp: ocspUrl, issuer: issuerUrl }
  return {
    signatureAlgorithm: signatureAlgorithmOf(part.signerAlgorithm),
    issuer: part.issuer,
    authorityKey: authorityKeyIdentifier ? [authorityKeyExtension(authorityKeyIdentifier)] : [],
    urls: [
      ...(crlUrl === undefined ? [] : [crlUrlExtension(crlUrl)]),
      ...(ocspUrl === undefined && issuerUrl === undefined ? [] : [accessExtension(access)]),
    ],
  }
}

/** The bytes to be signed, a TBSCertificate of version 3 (RFC 5280 4.1.2). Pure: equal templates
 *  give equal bytes. Throws `template-invalid` for what cannot be said in a certificate; whether it
 *  *should* be said is for `lint` to ask, on these bytes. */
export function toBeSigned(template: Template): Buffer {
  return toBeSignedBy(prepareIssuer(template), template)
}

const version3 = context(0, integer(2))

/** The same with the issuer's part already encoded. */
export function toBeSignedBy(issuer: PreparedIssuer, template: SubjectPart): Buffer {
  const { serial, validity, subject, spki } = template
  if (!/^([0-9a-f]{2}){1,20}$/.test(serial))
    throw new X509Error('template-invalid', 'The serial must be 1 to 20 octets of lower-case hex')
  if (validity.notAfter < validity.notBefore)
    throw new X509Error('template-invalid', 'notAfter lies before notBefore')
  const name = Buffer.isBuffer(subject) ? subject : encodeName(subject)
  return sequence(
    version3,
    integer(Buffer.from(serial, 'hex')),
    issuer.signatureAlgorithm,
    issuer.issuer,
    sequence(encodeTime(validity.notBefore), encodeTime(validity.notAfter)),
    name,
    spki,
    context(3, sequence(...extensionsOf(issuer, template, name))),
  )
}

function extensionsOf(issuer: PreparedIssuer, template: SubjectPart, subject: Buffer): Buffer[] {
  const { profile, altNames, subjectKeyIdentifier } = template
  const named = countAltNames(altNames) > 0
  return [
    ...purposes(template),
    ...(subjectKeyIdentifier ? [subjectKeyExtension(subjectKeyIdentifier)] : []),
    ...(profile === 'root' ? [] : issuer.authorityKey),
    ...(named ? [altNamesExtension(altNames, subject.equals(emptyName))] : []),
    ...(profile === 'root' || profile === 'ocsp' ? [] : issuer.urls),
    ...(profile === 'ocsp' ? [ocspNoCheckExtension] : []),
  ]
}

const signing = keyUsageExtension(['keyCertSign', 'cRLSign'])
const listless = keyUsageExtension(['keyCertSign'])
const noAuthority = basicConstraintsExtension(false)

/** The extensions that say what the key may do, for leaves without RSA encoded beforehand. */
function purposes(template: SubjectPart): readonly Buffer[] {
  const { profile, pathLength, nameConstraints, purposes: limits = [] } = template
  if (profile === 'root' || profile === 'intermediate')
    return [
      basicConstraintsExtension(true, pathLength),
      template.listless ? listless : signing,
      ...(limits.length > 0 ? [extendedKeyUsageExtension(limits)] : []),
      ...(nameConstraints ? [constraintsExtension(nameConstraints)] : []),
    ]
  if (pathLength !== undefined || nameConstraints !== undefined)
    throw new X509Error('template-invalid', 'Only an authority has pathLength or nameConstraints')
  const algorithm = keyAlgorithmOf(template.spki)
  if (algorithm === undefined)
    throw new X509Error('template-invalid', 'The public key is of no kind we certify')
  return leafPurposes[profile][algorithm.startsWith('RSA') ? 'rsa' : 'other']
}

type Leaf = Exclude<CertificateProfile, 'root' | 'intermediate'>
type Purposes = Readonly<Record<'rsa' | 'other', readonly Buffer[]>>

const leafPurposes: Readonly<Record<Leaf, Purposes>> = {
  server: leaf(['digitalSignature', 'keyEncipherment'], profilePurposes.server),
  client: leaf(['digitalSignature'], profilePurposes.client),
  peer: leaf(['digitalSignature', 'keyEncipherment'], profilePurposes.peer),
  ocsp: leaf(['digitalSignature'], [oids.ocspSigning]),
}

/** keyEncipherment is for RSA key transport only; EC and Ed25519 keys just sign (RFC 8422, 9295). */
function leaf(usages: readonly KeyUsage[], extended: readonly string[]): Purposes {
  const rest = [extendedKeyUsageExtension(extended), noAuthority]
  return {
    rsa: [keyUsageExtension(usages), ...rest],
    other: [keyUsageExtension(['digitalSignature']), ...rest],
  }
}
