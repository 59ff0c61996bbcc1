import { orRefuse } from '../../core/refusal.ts'
import { brokenRules } from '../../shared/brokenrules.ts'
import { refuse, type Violation } from '../../shared/problem.ts'
import { hostSpelling } from '../../shared/spelling.ts'
import { FurtherAttribute, type Policy } from '../../tenants/tenant.ts'
import type { KeyUsage } from '../../x509/certificates/extensions.ts'
import { profilePurposes } from '../../x509/certificates/purposes.ts'
import { type CertificateRequest, readRequest } from '../../x509/certificates/request.ts'
import { weakKeyFault } from '../../x509/keys/public.ts'
import { type AltNames, noAltNames } from '../../x509/names/altnames.ts'
import { type DistinguishedName, subjectFaults } from '../../x509/names/attributes.ts'
import { attributeName } from '../../x509/names/distinguished.ts'
import { ipBytes } from '../../x509/names/ip.ts'
import type { NewCertificate } from '../certificate.ts'
import { mailParts, type RequestedCertificate, unpermitted, uriHost } from './policy.ts'

/** A request for a certificate after its CSR has been read and merged into it. */
export type IssuanceRequest = RequestedCertificate & {
  readonly subject: DistinguishedName
  /** The caller's public key; undefined: one is made here. */
  readonly spki: Buffer | undefined
  /** What its CSR asked for and does not get, by name. */
  readonly leftOut?: readonly string[]
}

/** The same before the rules are known, which say how long one lasts that names no days. */
export type ReadRequest = Omit<IssuanceRequest, 'validityDays'> & {
  readonly validityDays: number | undefined
}

/** Reads what is requested. Names of the request and of the CSR become one list *before* any rule is
 *  asked, so that nothing can come in through either door unjudged. Throws certificate-refused for a CSR
 *  that is not acceptable in itself. */
export function readIssuanceRequest(request: NewCertificate): ReadRequest {
  const csr = readCsr(request)
  const subject = mergedSubject(csr ? subjectOf(csr).subject : {}, request.subject ?? {})
  const names = merged(request, csr ? namesOf(csr) : noAltNames)
  refuse('certificate-refused', [
    ...subjectFaults(subject).map((message) => ({ field: '/subject', message })),
    ...countFaults(names),
    ...(csr && request.autoRenew === true
      ? [
          {
            field: '/autoRenew',
            message: 'Only who has the key can renew it: send a new CSR to …/renew when it is due',
          },
        ]
      : []),
  ])
  return {
    profile: request.profile,
    subject,
    commonName: subject.commonName,
    names,
    keyAlgorithm: csr?.keyAlgorithm ?? request.keyAlgorithm ?? 'ECDSA_P256',
    validityDays: request.validityDays,
    spki: csr?.spki,
    ...(csr ? leftOutOf(csr, request) : {}),
  }
}

/** What a request says of a subject goes before what its CSR does. Several units stand in a list of their own, one alone
 *  does not. */
function mergedSubject(csr: DistinguishedName, asked: DistinguishedName): DistinguishedName {
  const saysUnits = asked.organizationalUnit ?? asked.organizationalUnits
  const { organizationalUnit, organizationalUnits, ...rest } = { ...csr, ...asked }
  const from = saysUnits === undefined ? csr : asked
  const units = from.organizationalUnits ?? []
  const first = from.organizationalUnit ?? units[0]
  return {
    ...rest,
    ...(first === undefined ? {} : { organizationalUnit: first }),
    ...(units.length > 1 ? { organizationalUnits: units } : {}),
  }
}

/** The request as it is issued where the policy has what it does not permit left out. */
export function withoutUnpermitted<T extends ReadRequest>(read: T, policy: Policy): T {
  if (policy.csrSubject !== 'leave-out') return read
  const { subjectOfCsr = [], leftOut = [], subject } = read
  const gone = unpermitted(subject, policy).filter((field) => subjectOfCsr.includes(field))
  if (gone.length === 0) return read
  const told = [...gone.map((field) => `subject: ${field}`), ...leftOut]
  return { ...read, subject: without(subject, gone), leftOut: told.slice(0, mostLeftOut) }
}

const mostLeftOut = 50

/** What of a CSR is not granted, and of its subject not issued. */
function leftOutOf(csr: CertificateRequest, { profile, subject = {} }: NewCertificate) {
  const strange = [
    ...subjectOf(csr).strange,
    ...csr.subject.others.map(({ oid }) => attributeName(oid)),
  ]
  const strangeSubject = [...new Set(strange)].slice(0, mostLeftOut)
  const subjectOfCsr = FurtherAttribute.enum.filter((field) => subject[field] === undefined)
  const usages = csr.asks.keyUsage.filter((usage) => !mayHave(usage, csr, profile))
  const granted: readonly string[] = profilePurposes[profile]
  const purposes = csr.asks.extendedKeyUsage.filter((purpose) => !granted.includes(purpose))
  const leftOut = [
    ...strangeSubject.map((name) => `subject: ${name}`),
    ...usages.map((usage) => `keyUsage: ${usage}`),
    ...purposes.map((purpose) => `extendedKeyUsage: ${purpose}`),
    ...csr.wishes,
  ].map((name) => name.slice(0, 100))
  return { strangeSubject, subjectOfCsr, leftOut: leftOut.slice(0, mostLeftOut) }
}

function mayHave(usage: KeyUsage, { keyAlgorithm }: CertificateRequest, profile: string): boolean {
  if (usage === 'digitalSignature') return true
  return usage === 'keyEncipherment' && keyAlgorithm.startsWith('RSA') && profile !== 'client'
}

function readCsr(request: NewCertificate): CertificateRequest | undefined {
  const { csr: pem } = request
  if (pem === undefined) return undefined
  const csr = orRefuse('certificate-refused', '/csr', () => readRequest(pem))
  refuse('certificate-refused', csrFaults(csr, request))
  return csr
}

/** As many of a kind as the request itself may have (src/certificates/certificate.ts). */
const mostNames = 100

function countFaults(names: AltNames): readonly Violation[] {
  return Object.entries(names).flatMap(([kind, values]) =>
    values.length > mostNames
      ? [{ field: `/${kind}`, message: `${values.length} ${kind}; ask for at most ${mostNames}` }]
      : [],
  )
}

/** The subject of a CSR as far as it can be written, and what of it cannot: what few have is left to the policy, also
 *  where it is too long or of other letters than it may have. */
function subjectOf({ subject: { others, ...named } }: CertificateRequest) {
  const { emailAddress, ...subject } = named
  const strange = FurtherAttribute.enum.filter((field) => {
    return subject[field] !== undefined && subjectFaults({ [field]: subject[field] }).length > 0
  })
  return { subject: without(subject, strange), strange }
}

function without(subject: DistinguishedName, fields: readonly string[]): DistinguishedName {
  return Object.fromEntries(Object.entries(subject).filter(([field]) => !fields.includes(field)))
}

/** A mail address in the subject is a name like any other, and goes where new certificates have it
 *  (RFC 5280 4.1.2.6). */
function namesOf({ subject: { emailAddress }, altNames }: CertificateRequest): AltNames {
  if (emailAddress === undefined) return altNames
  return { ...altNames, emailAddresses: [...altNames.emailAddresses, emailAddress] }
}

/** A CSR asks; policy answers. What would make it more than a leaf, or somebody else, is refused. */
function csrFaults(csr: CertificateRequest, request: NewCertificate): readonly Violation[] {
  const { spki, keyAlgorithm, otherAltNameKinds, asks } = csr
  const weak = weakKeyFault(spki)
  const faults = brokenRules([
    [asks.ca, 'The CSR asks for CA:TRUE; leaves are never authorities'],
    [
      asks.keyUsage.includes('keyCertSign') || asks.keyUsage.includes('cRLSign'),
      'The CSR asks for keyCertSign or cRLSign; leaves never sign certificates or lists',
    ],
    [
      otherAltNameKinds.length > 0,
      `The CSR has names of kinds that are not issued here: ${otherAltNameKinds.join(', ')}`,
    ],
    [
      request.keyAlgorithm !== undefined && request.keyAlgorithm !== keyAlgorithm,
      `keyAlgorithm ${request.keyAlgorithm} is not that of the CSR, ${keyAlgorithm}; leave it out`,
    ],
  ])
  return [...faults, ...(weak === undefined ? [] : [weak])].map((message) => ({
    field: '/csr',
    message,
  }))
}

function merged(request: NewCertificate, csr: AltNames): AltNames {
  return normalizedNames({
    dnsNames: [...(request.dnsNames ?? []), ...csr.dnsNames],
    ipAddresses: [...(request.ipAddresses ?? []), ...csr.ipAddresses],
    emailAddresses: [...(request.emailAddresses ?? []), ...csr.emailAddresses],
    uris: [...(request.uris ?? []), ...csr.uris],
  })
}

/** Every name once, in whatever spellings it came: DNS names in their one spelling, of the others the
 *  spelling that came first. */
export function normalizedNames(names: AltNames): AltNames {
  return {
    dnsNames: [...new Set(names.dnsNames.map(hostSpelling))],
    ipAddresses: once(names.ipAddresses, (text) => ipBytes(text)?.toString('hex') ?? text),
    emailAddresses: once(names.emailAddresses, (mail) => {
      const { local, host } = mailParts(mail)
      return `${local}@${host}`
    }),
    uris: once(names.uris, (uri) => {
      const { protocol = '', pathname = uri, search = '', hash = '' } = URL.parse(uri) ?? {}
      return JSON.stringify([protocol, uriHost(uri), URL.parse(uri)?.port, pathname, search, hash])
    }),
  }
}

function once(names: readonly string[], keyOf: (name: string) => string): readonly string[] {
  return names.length < 2
    ? names
    : [...new Map(names.toReversed().map((name) => [keyOf(name), name])).values()].toReversed()
}
