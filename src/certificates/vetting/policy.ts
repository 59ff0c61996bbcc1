import type { Violation } from '../../shared/problem.ts'
import { hostSpelling } from '../../shared/spelling.ts'
import { type Claim, claimFault } from '../../tenants/domains/ownership.ts'
import {
  domainIn,
  hostsInText,
  type NameHolder,
  subjectPolicyFaults,
} from '../../tenants/subject.ts'
import { FurtherAttribute, type Policy } from '../../tenants/tenant.ts'
import { isReservedUri } from '../../tenants/uri.ts'
import type { KeyAlgorithm } from '../../x509/keys/public.ts'
import {
  type AltNames,
  dnsNameFault,
  emailFault,
  ipFault,
  uriFault,
} from '../../x509/names/altnames.ts'
import type { DistinguishedName } from '../../x509/names/attributes.ts'
import { inRange, ipBytes, rangeBytes } from '../../x509/names/ip.ts'

/** A certificate as asked for, names of the request and the CSR already merged. */
export type RequestedCertificate = {
  readonly profile: 'server' | 'client' | 'peer'
  readonly subject: DistinguishedName
  readonly commonName: string | undefined
  readonly names: AltNames
  readonly keyAlgorithm: KeyAlgorithm
  readonly validityDays: number
  /** Attributes in the subject of the CSR of types that are issued to nobody, by name. */
  readonly strangeSubject?: readonly string[]
  /** Of the subject, what the CSR alone asks for. */
  readonly subjectOfCsr?: readonly FurtherAttribute[]
}

/** Whose policy holds: the tenant's own, who has which domains, and who has which names. */
export type TenantRules = {
  readonly tenantId: string
  readonly policy: Policy
  readonly claims: readonly Claim[]
  readonly holders: readonly NameHolder[]
}

/** Everything about `wanted` that is not allowed, all at once; empty when it may be issued. Every kind
 *  of name is judged: a kind that no rule allows is refused. */
export function policyFaults(
  wanted: RequestedCertificate,
  rules: TenantRules,
): readonly Violation[] {
  const { subject, names } = wanted
  return [
    ...purposeFaults(wanted),
    ...strangeSubjectFaults(wanted, rules),
    ...nameRuleFaults(wanted, rules),
    ...subjectPolicyFaults(subject, rules, [...names.dnsNames, ...names.ipAddresses]),
    ...tenantLimitFaults(wanted, rules),
  ]
}

function purposeFaults({ profile, commonName, names }: RequestedCertificate): readonly Violation[] {
  const hosts = names.dnsNames.length + names.ipAddresses.length
  const any = hosts + names.emailAddresses.length + names.uris.length
  const faults: Violation[] = []
  if (profile !== 'client' && hosts === 0) {
    faults.push({
      field: '/dnsNames',
      message:
        'A server certificate needs a DNS name or an IP address: clients do not look at the CN',
    })
  }
  if (profile === 'client' && any === 0 && commonName === undefined) {
    faults.push({ field: '/subject', message: 'A client certificate needs a commonName or a name' })
  }
  // CA/B BR 7.1.4.2.2: a CN, if any, repeats one of the names.
  const own = [...names.dnsNames, ...names.ipAddresses]
  const repeated = own.includes((commonName ?? '').toLowerCase())
  if (profile !== 'client' && commonName !== undefined && !repeated) {
    faults.push({
      field: '/subject/commonName',
      message: `commonName ${JSON.stringify(commonName)} must be one of dnsNames or ipAddresses`,
    })
  }
  return faults
}

/** What is not issued is left out only where the policy says so, since a subject says who somebody is. */
function strangeSubjectFaults(
  wanted: RequestedCertificate,
  { policy }: TenantRules,
): readonly Violation[] {
  const { strangeSubject = [], subjectOfCsr = [] } = wanted
  const notPermitted = unpermitted(wanted.subject, policy)
  const asked = notPermitted.filter((field) => !subjectOfCsr.includes(field))
  const strange = [
    ...strangeSubject,
    ...notPermitted.filter((field) => subjectOfCsr.includes(field)),
  ]
  const message = `The CSR's subject has attributes that are not issued here: ${strange.join(', ')}; leave them out, or have the tenant's policy say so (subjectAttributes, csrSubject)`
  return [
    ...asked.map((field) => ({
      field: `/subject/${field}`,
      message: `The tenant's policy permits no ${field} in subjects (subjectAttributes)`,
    })),
    ...(strange.length === 0 || policy.csrSubject === 'leave-out'
      ? []
      : [{ field: '/csr', message }]),
  ]
}

/** What a subject has that the policy does not permit. */
export function unpermitted(
  subject: DistinguishedName,
  { subjectAttributes = [] }: Policy,
): readonly FurtherAttribute[] {
  return FurtherAttribute.enum.filter(
    (field) => subject[field] !== undefined && !subjectAttributes.includes(field),
  )
}

/** Everything about names that the tenant may not have in a certificate. */
export function nameRuleFaults(
  { names }: Pick<RequestedCertificate, 'names'>,
  rules: Omit<TenantRules, 'holders'>,
): readonly Violation[] {
  const each = (field: string, values: readonly string[], fault: (text: string) => Fault) =>
    values.flatMap((value, index) => {
      const message = fault(value)
      return message === undefined ? [] : [{ field: `/${field}/${index}`, message }]
    })
  const hostFault = (host: string) => domainRule(host, rules)
  return [
    ...each('dnsNames', names.dnsNames, (name) => dnsNameFault(name) ?? hostFault(name)),
    ...each('ipAddresses', names.ipAddresses, (text) => ipFault(text) ?? rangeRule(text, rules)),
    ...each(
      'emailAddresses',
      names.emailAddresses,
      (mail) => emailFault(mail) ?? hostFault(mailParts(mail).host),
    ),
    ...each('uris', names.uris, (uri) => {
      const host = uriHost(uri)
      return reservedRule(uri) ?? uriFault(uri) ?? dnsNameFault(host) ?? hostFault(host)
    }),
  ]
}

type Fault = string | undefined

function domainRule(
  host: string,
  { tenantId, claims, policy }: Pick<TenantRules, 'tenantId' | 'claims' | 'policy'>,
): Fault {
  if (host.startsWith('*.') && policy.wildcards === false) {
    return `${host}: the tenant's policy allows no wildcards`
  }
  return claimFault(tenantId, host, claims)
}

/** A mail address at its @; the host in its one spelling. */
export function mailParts(mail: string): { readonly local: string; readonly host: string } {
  const at = mail.lastIndexOf('@')
  return { local: mail.slice(0, Math.max(at, 0)), host: hostSpelling(mail.slice(at + 1)) }
}

/** The host of a URI in its one spelling: URLs of schemes that nobody knows keep theirs as it came.
 *  Empty when there is none. */
export function uriHost(uri: string): string {
  return hostSpelling(URL.parse(uri)?.hostname ?? '')
}

/** The host names whose owners are asked for. */
export function requestedHosts({
  names,
  subject,
}: Pick<RequestedCertificate, 'names' | 'subject'>): readonly string[] {
  return [
    ...names.dnsNames,
    ...names.emailAddresses.map((mail) => mailParts(mail).host),
    ...names.uris.map(uriHost),
    ...(subject.commonName === undefined ? [] : hostsInText(subject.commonName)),
    ...[domainIn(subject) ?? []].flat(),
  ]
}

function reservedRule(uri: string): Fault {
  if (!isReservedUri(uri)) return undefined
  return `${uri.slice(0, 60)}: client certificates are given the URN of their tenant; leave it out`
}

function rangeRule(text: string, { policy }: Pick<TenantRules, 'policy'>): Fault {
  const address = ipBytes(text)
  const ranges = (policy.ipRanges ?? []).map(rangeBytes).filter((range) => range !== undefined)
  if (address && ranges.some((range) => inRange(address, range))) return undefined
  return `${text} does not lie in the ipRanges of the tenant's policy`
}

function tenantLimitFaults(
  wanted: RequestedCertificate,
  { policy }: TenantRules,
): readonly Violation[] {
  const { keyAlgorithm, profile, validityDays } = wanted
  const { keyAlgorithms, maxValidityDays, renewBefore } = policy
  return [
    ...(policy.profiles && !policy.profiles.includes(profile)
      ? [
          {
            field: '/profile',
            message: `The tenant's policy allows ${policy.profiles.join(', ')}, not ${profile}`,
          },
        ]
      : []),
    ...(keyAlgorithms && !keyAlgorithms.includes(keyAlgorithm)
      ? [
          {
            field: '/keyAlgorithm',
            message: `The tenant's policy allows ${keyAlgorithms.join(', ')}, not ${keyAlgorithm}`,
          },
        ]
      : []),
    ...(maxValidityDays !== undefined && validityDays > maxValidityDays
      ? [
          {
            field: '/validityDays',
            message: `The tenant's policy allows ${maxValidityDays} days, not ${validityDays}`,
          },
        ]
      : []),
    ...(renewBefore?.days !== undefined && validityDays <= renewBefore.days
      ? [
          {
            field: '/validityDays',
            message: `The tenant's policy renews ${renewBefore.days} days before the end: ask for more days than that`,
          },
        ]
      : []),
  ]
}
