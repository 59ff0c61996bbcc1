import { type Claim, owns } from '../tenants/domains.ts'
import type { Policy } from '../tenants/tenant.ts'
import { isReservedUri } from '../tenants/uri.ts'
import type { Violation } from '../words/problem.ts'
import { type AltNames, dnsNameFault, emailFault, ipFault, uriFault } from '../x509/altnames.ts'
import { inRange, ipBytes, rangeBytes } from '../x509/ip.ts'
import type { KeyAlgorithm } from '../x509/keys.ts'

/** A certificate as asked for, names of the request and the CSR already merged. */
export type Wanted = {
  readonly profile: 'server' | 'client' | 'peer'
  readonly commonName: string | undefined
  readonly names: AltNames
  readonly keyAlgorithm: KeyAlgorithm
  readonly validityDays: number
}

/** Whose policy holds: the tenant's own, and who has which domains. */
export type Rules = {
  readonly tenantId: string
  readonly policy: Policy
  readonly claims: readonly Claim[]
}

/** Everything about `wanted` that is not allowed, all at once; empty when it may be issued. Every kind
 *  of name is judged: a kind that no rule allows is refused. */
export function violations(wanted: Wanted, rules: Rules): readonly Violation[] {
  return [...purposeFaults(wanted), ...nameFaults(wanted, rules), ...limitFaults(wanted, rules)]
}

function purposeFaults({ profile, commonName, names }: Wanted): readonly Violation[] {
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
  const repeated = [...names.dnsNames, ...names.ipAddresses].includes(commonName ?? '')
  if (profile !== 'client' && commonName !== undefined && !repeated) {
    faults.push({
      field: '/subject/commonName',
      message: `commonName ${JSON.stringify(commonName)} must be one of dnsNames or ipAddresses`,
    })
  }
  return faults
}

function nameFaults({ commonName, names }: Wanted, rules: Rules): readonly Violation[] {
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
      (mail) => emailFault(mail) ?? hostFault(mail.slice(mail.lastIndexOf('@') + 1).toLowerCase()),
    ),
    ...each(
      'uris',
      names.uris,
      (uri) => reservedRule(uri) ?? uriFault(uri) ?? hostFault(new URL(uri).hostname),
    ),
    ...commonNameFault(commonName, names, rules),
  ]
}

type Fault = string | undefined

function domainRule(host: string, { tenantId, claims, policy }: Rules): Fault {
  if (host.startsWith('*.') && policy.wildcards === false) {
    return `${host}: the tenant's policy allows no wildcards`
  }
  if (owns(tenantId, host, claims)) return undefined
  return `${host} does not lie under the tenant's domains; have its domain added to the tenant`
}

function reservedRule(uri: string): Fault {
  if (!isReservedUri(uri)) return undefined
  return `${uri.slice(0, 60)}: client certificates are given the URN of their tenant; leave it out`
}

function rangeRule(text: string, { policy }: Rules): Fault {
  const address = ipBytes(text)
  const ranges = (policy.ipRanges ?? []).map(rangeBytes).filter((range) => range !== undefined)
  if (address && ranges.some((range) => inRange(address, range))) return undefined
  return `${text} does not lie in the ipRanges of the tenant's policy`
}

/** A CN that reads as a host name is one to those who still look at it. */
function commonNameFault(
  commonName: string | undefined,
  { dnsNames }: AltNames,
  rules: Rules,
): readonly Violation[] {
  if (commonName === undefined || dnsNames.includes(commonName)) return []
  const host = commonName.toLowerCase()
  const message = host.includes('.') && !dnsNameFault(host) ? domainRule(host, rules) : undefined
  return message === undefined ? [] : [{ field: '/subject/commonName', message }]
}

function limitFaults(wanted: Wanted, { policy }: Rules): readonly Violation[] {
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
