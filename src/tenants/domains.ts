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

/** Why a domain cannot be registered, or undefined: lower-case LDH labels, two or more, no wildcard
 *  (RFC 1035 2.3.1, RFC 5890 2.3.1). */
export function domainFault(domain: string): string | undefined {
  if (domain.length > 253) return `${domain.slice(0, 40)}… is longer than 253 characters`
  const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
  const labels = domain.split('.')
  if (labels.length < 2) return `${domain} is a single label; give a domain such as example.com`
  if (!labels.every((each) => label.test(each))) {
    return `${domain} is not a domain: lower-case letters, digits and hyphens, A-labels for IDNs`
  }
  if (/^[0-9]+$/.test(labels.at(-1) ?? '')) return `${domain} ends in a number`
  return undefined
}
