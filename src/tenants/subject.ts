import type { Violation } from '../shared/problem.ts'
import { folded, hidesCharacters, hostSpelling, mixesAlphabets } from '../shared/spelling.ts'
import { attributes, type DistinguishedName, valuesOf } from '../x509/names/attributes.ts'
import { ipBytes } from '../x509/names/ip.ts'
import { type Claim, claimFault } from './domains/ownership.ts'
import type { Policy } from './tenant.ts'

/** A tenant under one of its names, folded. */
export type NameHolder = { readonly tenantId: string; readonly name: string }

/** By what a subject is judged: whose it is, the claims on the hosts in its commonName, and the tenants
 *  that have one of its texts as their name. */
export type SubjectRules = {
  readonly tenantId: string
  readonly policy: Pick<Policy, 'subject' | 'wildcards'>
  readonly claims: readonly Claim[]
  readonly holders: readonly NameHolder[]
}

type Field = (typeof attributes)[number][0]

/** The fields by which others know somebody: Kubernetes takes CN for the user and O for the groups, directories UID. */
const naming: ReadonlySet<Field> = new Set([
  'commonName',
  'organization',
  'organizationalUnit',
  'userId',
])

/** Users and groups that are Kubernetes' own, also kubeadm:cluster-admins. */
const reserved = /^(system|kubeadm):/

/** The texts of a subject that are held against the names of tenants, folded. */
export function namesIn(subject: DistinguishedName): readonly string[] {
  return [...naming].flatMap((field) => valuesOf(subject, field).map(folded))
}

/** The domain that the domainComponents spell (RFC 2247), in the one spelling of host names; none where there are none. */
export function domainIn({ domainComponents = [] }: DistinguishedName): string | undefined {
  if (domainComponents.length === 0) return undefined
  return hostSpelling(domainComponents.toReversed().join('.'))
}

/** What in a text reads as a host name or an address, to a program or a person, in the one spelling of
 *  host names: also within other text, and with letters in it that nobody sees. */
export function hostsInText(text: string): readonly string[] {
  const plain = folded(text).replace(/[\u3002\uff61]/g, '.')
  const words = plain
    .split(between)
    .map((word) => hostSpelling(word.replace(/^\.+|\.+$/g, '')))
    .filter((word) => hostLike.test(word) || ipBytes(word) !== undefined)
  const colons = plain.match(/[0-9a-f:.]*:[0-9a-f:.]*/g) ?? []
  return [...words, ...colons.filter((word) => ipBytes(word) !== undefined)]
}

/** Whatever cannot stand in a host name ends it, as to whoever reads it: a slash in any of Unicode's forms,
 *  and a * that is not a whole label in front. */
const between = /[^\p{L}\p{N}\p{M}.*_-]+|(?<=[\p{L}\p{N}\p{M}._-])\*|\*(?!\.)/u

/** Two labels or more, the last of them of two characters or more and no number. */
const hostLike = /^[^.]+(\.[^.]+)*\.[^.\d][^.]+$/

/** Why a subject may not be certified for this tenant, all at once. Names that the certificate is about
 *  anyway, `own`, may stand in the commonName. Nothing is said of whose a name is. */
export function subjectPolicyFaults(
  subject: DistinguishedName,
  rules: SubjectRules,
  own: readonly string[] = [],
): readonly Violation[] {
  const domain = domainIn(subject)
  const faults = attributes.flatMap(([field]) => {
    if (field === 'emailAddress' || field === 'domainComponents') return []
    const texts = valuesOf(subject, field)
    return texts.flatMap((text, i) => {
      if (field === 'commonName' && own.includes(text.toLowerCase())) return []
      const message = fieldFault(field, text, rules)
      const place = texts.length > 1 ? `${field}s/${i}` : field
      return message === undefined ? [] : [{ field: `/subject/${place}`, message }]
    })
  })
  const strange = domain === undefined ? undefined : domainFault(domain, rules)
  return strange === undefined
    ? faults
    : [...faults, { field: '/subject/domainComponents', message: strange }]
}

/** Directories take them for the domain that somebody belongs to. */
function domainFault(domain: string, { policy, tenantId, claims }: SubjectRules) {
  const listed = policy.subject?.domainComponents
  if (listed) {
    return listed.some((each) => hostSpelling(each) === domain)
      ? undefined
      : `domainComponents spell ${domain}, which is not among those that the tenant's policy lists: ${listed.join(', ') || 'none'}`
  }
  const fault = claimFault(tenantId, domain, claims)
  return fault === undefined
    ? undefined
    : `domainComponents spell ${domain}: ${fault}; have it listed in the tenant's policy (subject) if it is meant`
}

function fieldFault(
  field: Exclude<Field, 'emailAddress' | 'domainComponents'>,
  text: string,
  rules: SubjectRules,
): string | undefined {
  const { policy, holders, tenantId } = rules
  const quoted = `${field} ${JSON.stringify(text)}`
  if (hidesCharacters(text)) return `${field} holds characters that nobody sees; leave them out`
  const values = policy.subject?.[field]
  if (values) {
    return values.includes(text)
      ? undefined
      : `${quoted} is not among those that the tenant's policy lists: ${values.join(', ') || 'none'}`
  }
  if (!naming.has(field)) return undefined
  const name = folded(text)
  const ask = "have it listed in the tenant's policy (subject) if it is meant"
  if (mixesAlphabets(text)) {
    return `${quoted} has letters of several alphabets in one word, which look alike; ${ask}`
  }
  if (reserved.test(name)) return `${quoted} is a name of Kubernetes itself; ${ask}`
  const of = holders.filter((each) => each.name === name)
  if (of.length > 0 && !of.some((each) => each.tenantId === tenantId)) {
    return `${quoted} is a reserved name; ${ask}`
  }
  const strange =
    field === 'commonName' ? hostsInText(text).find((host) => strangeHost(host, rules)) : undefined
  return strange === undefined
    ? undefined
    : `${quoted} reads as ${strange}, which does not lie under the tenant's domains; ${ask}`
}

function strangeHost(host: string, { tenantId, claims, policy }: SubjectRules): boolean {
  const wildcard = host.startsWith('*.') && policy.wildcards === false
  return wildcard || claimFault(tenantId, host, claims) !== undefined
}
