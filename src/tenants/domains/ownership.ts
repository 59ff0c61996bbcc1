import { dnsNameFault } from '../../x509/names/altnames.ts'

/** The registered name at the end of a DNS name that a tenant's domain covers: the domain itself and
 *  everything below it. `*.example.com` is below example.com. */
export function within(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`)
}

/** Every suffix of whole labels, longest first: `a.b.c` → `a.b.c`, `b.c`, `c`. */
export function suffixes(name: string): readonly string[] {
  const labels = name.split('.')
  return labels.map((_, index) => labels.slice(index).join('.'))
}

/** Who holds a domain. */
export type Claim = { readonly tenantId: string; readonly domain: string }

/** Whether `tenantId` may use `name` given the claims of all tenants: it must hold a domain that covers
 *  the name, and no other tenant may hold a longer one; the closest claim is the owner's. Two tenants
 *  with the very same domain share it. */
export function owns(tenantId: string, name: string, claims: readonly Claim[]): boolean {
  const covering = claims.filter(({ domain }) => within(name, domain))
  const longest = Math.max(0, ...covering.map(({ domain }) => domain.length))
  return covering.some((claim) => claim.domain.length === longest && claim.tenantId === tenantId)
}

/** Other tenants' domains below a wildcard, that `tenantId` does not hold too: a host of that name would
 *  answer, and a certificate would be good, for them. */
function covered(tenantId: string, name: string, claims: readonly Claim[]): readonly Claim[] {
  if (!name.startsWith('*.')) return []
  const base = name.slice(1)
  return claims.filter(({ domain }) => domain.endsWith(base) && !owns(tenantId, domain, claims))
}

/** Why `tenantId` may not use `name`, for a host or in a certificate, given the claims on it
 *  (src/tenants/domains/claims.ts); undefined when it may. Nothing is said of whose it is. */
export function claimFault(
  tenantId: string,
  name: string,
  claims: readonly Claim[],
): string | undefined {
  if (!owns(tenantId, name, claims)) {
    return `${name} does not lie under the tenant's domains; have its domain added to the tenant`
  }
  if (covered(tenantId, name, claims).length === 0) return undefined
  return `${name} would cover a domain that is another tenant's: name the hosts one by one`
}

/** Why a domain cannot be registered, or undefined: it is in the one spelling of host names, of two
 *  labels or more, and no wildcard (RFC 1035 2.3.1, RFC 5890 2.3.1). */
export function domainFault(domain: string): string | undefined {
  if (!domain.includes('.')) {
    return `${domain} is a single label; give a domain such as example.com`
  }
  if (domain.startsWith('*')) return `${domain} is a wildcard; give the domain itself`
  return dnsNameFault(domain)
}
