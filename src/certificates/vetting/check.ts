import type { IssuingAuthority } from '../../authorities/issuers/current.ts'
import type { ReadyIssuer } from '../../authorities/issuers/ready.ts'
import { keyFault } from '../../authorities/keys/holders.ts'
import type { Context } from '../../core/context.ts'
import { refuse, type Violation } from '../../shared/problem.ts'
import { policyOf, type TenantRow } from '../../tenants/access.ts'
import { claimsTogether, holdersTogether } from '../../tenants/domains/claims.ts'
import type { Claim } from '../../tenants/domains/ownership.ts'
import { hostsInText, namesIn } from '../../tenants/subject.ts'
import { authorityFaults } from './limits.ts'
import { mailParts, policyFaults, uriHost } from './policy.ts'
import type { IssuanceRequest } from './request.ts'

/** A request and by whose rules it is checked; `claims` on its host names if they have been read. */
export type Checked = {
  readonly tenant: TenantRow
  readonly authority: IssuingAuthority
  readonly issuer: ReadyIssuer
  readonly request: IssuanceRequest
  readonly claims?: readonly Claim[]
}

/** Throws certificate-refused with everything that the tenant's policy and domains, the authority's
 *  limits and its name constraints do not allow, and for a key that is blocked or not the tenant's own. */
export async function checkRequest(ctx: Context, checked: Checked): Promise<void> {
  refuse('certificate-refused', await requestFaults(ctx, checked))
}

/** The same as an answer: everything that is not allowed. */
export async function requestFaults(ctx: Context, checked: Checked): Promise<readonly Violation[]> {
  const { tenant, authority, issuer, request } = checked
  const [claims, holders, fault] = await Promise.all([
    checked.claims ?? claimsTogether(ctx, requestedHosts(request)),
    holdersTogether(ctx, possibleTenants(request)),
    request.spki ? keyFault(ctx.db.read, request.spki, tenant.id) : undefined,
  ])
  const rules = { tenantId: tenant.id, policy: policyOf(tenant), claims, holders }
  return [
    ...policyFaults(request, rules),
    ...authorityFaults(request, authority, issuer.constraints),
    ...(fault === undefined ? [] : [{ field: '/csr', message: fault }]),
  ]
}

/** The host names whose owners are asked for. */
export function requestedHosts({ names, subject }: IssuanceRequest): readonly string[] {
  return [
    ...names.dnsNames,
    ...names.emailAddresses.map((mail) => mailParts(mail).host),
    ...names.uris.map(uriHost),
    ...(subject.commonName === undefined ? [] : hostsInText(subject.commonName)),
  ]
}

/** The texts of the subject that may be the names of tenants; a host that it is for is none. */
function possibleTenants({ names, subject }: IssuanceRequest): readonly string[] {
  return namesIn(subject).filter((text) => !names.dnsNames.includes(text))
}
