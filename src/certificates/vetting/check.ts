import {
  findIssuing,
  type IssuingAuthority,
  issuing,
  usableAuthority,
} from '../../authorities/issuers/current.ts'
import { type ReadyIssuer, readyIssuer } from '../../authorities/issuers/ready.ts'
import { keyFault } from '../../authorities/keys/holders.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { accessible, policyOf, type TenantRow } from '../../tenants/access.ts'
import { claimsTogether, holdersTogether } from '../../tenants/domains/claims.ts'
import type { Claim } from '../../tenants/domains/ownership.ts'
import { namesIn } from '../../tenants/subject.ts'
import type { Policy } from '../../tenants/tenant.ts'
import type { NameConstraints } from '../../x509/constraints/subtrees.ts'
import type { NewCertificate } from '../certificate.ts'
import { defaultDays, limitFaults, shortened } from './limits.ts'
import { policyFaults, requestedHosts } from './policy.ts'
import {
  type IssuanceRequest,
  type ReadRequest,
  readIssuanceRequest,
  withoutUnpermitted,
} from './request.ts'

/** A request whose certificate may be issued: who signs it for whom. */
export type AllowedRequest = {
  readonly tenant: TenantRow
  readonly authority: IssuingAuthority
  /** The certificate of `authority` that signs now. */
  readonly issuer: ReadyIssuer
  readonly request: IssuanceRequest
}

/** A request that has been held against the rules, and everything that they do not allow. */
export type CheckedRequest = AllowedRequest & { readonly faults: readonly Violation[] }

/** Reads a request, reads the rules that apply to it and holds it against them. Throws tenant-unknown,
 *  forbidden, authority-unknown, authority-keyless, and certificate-refused with every violation. */
export async function checkNewCertificate(
  ctx: Context,
  actor: Actor,
  { tenant, request }: { readonly tenant: string; readonly request: NewCertificate },
): Promise<AllowedRequest> {
  const read = readIssuanceRequest(request)
  const { authority } = request
  const rules = await issuanceRules(ctx, actor, { tenant, authority, hosts: requestedHosts(read) })
  return allowed(await checkRequest(ctx, rules, read))
}

/** Reads the rules that apply today to what was requested once, of this authority, and holds it against
 *  them: its days are within the limits of now. Throws tenant-unknown, forbidden, authority-unknown,
 *  authority-keyless. */
export async function checkAgain(
  ctx: Context,
  actor: Actor,
  request: { readonly tenant: string; readonly authority: string; readonly read: ReadRequest },
): Promise<CheckedRequest> {
  const { tenant, authority, read } = request
  const rules = await issuanceRules(ctx, actor, { tenant, authority, hosts: requestedHosts(read) })
  return checkRequest(ctx, rules, shortened(read, rules.authority, policyOf(rules.tenant)))
}

/** The request, if it has no fault. Throws certificate-refused with every violation. */
export function allowed({ faults, ...request }: CheckedRequest): AllowedRequest {
  refuse('certificate-refused', faults)
  return request
}

/** Holds a request against the tenant's policy and domains, the authority's limits and its name
 *  constraints; a key must not be blocked, nor another tenant's. Throws authority-keyless. */
export async function checkRequest(
  ctx: Context,
  rules: IssuanceRules,
  read: ReadRequest,
): Promise<CheckedRequest> {
  const { authority } = rules
  refuse('certificate-refused', elsewhereFaults(authority))
  const issuer = await readyIssuer(ctx, authority)
  return { ...(await checkUnder(ctx, rules, { read, constraints: issuer.constraints })), issuer }
}

/** That a CA elsewhere certifies hosts alone: whose names they are is shown by their gateways, or in their DNS. */
function elsewhereFaults({ name, kind }: IssuingAuthority): readonly Violation[] {
  const message = `"${name}" is a CA elsewhere (acme), which certifies hosts alone: PUT a host with certificate.authority "${name}", or name another authority`
  return kind === 'acme' ? [{ field: '/authority', message }] : []
}

/** A request for a certificate of a CA elsewhere, and everything that is not allowed here. */
export type CheckedElsewhere = Omit<CheckedRequest, 'issuer'>

/** The same of a request to a CA elsewhere, which decides by itself about days and keys. Throws tenant-unknown,
 *  forbidden, authority-unknown. */
export async function checkElsewhere(
  ctx: Context,
  actor: Actor,
  request: { readonly tenant: string; readonly authority: string; readonly read: ReadRequest },
): Promise<CheckedElsewhere> {
  const { tenant, authority, read } = request
  const rules = await issuanceRules(ctx, actor, { tenant, authority, hosts: requestedHosts(read) })
  const { maxValidityDays: _, ...policy } = policyOf(rules.tenant)
  return checkUnder(ctx, rules, { read, constraints: [], policy })
}

async function checkUnder(
  ctx: Context,
  { tenant, authority, claims: known }: IssuanceRules,
  asked: {
    readonly read: ReadRequest
    readonly constraints: readonly NameConstraints[]
    readonly policy?: Policy
  },
): Promise<CheckedElsewhere> {
  const { read, constraints, policy = policyOf(tenant) } = asked
  const validityDays = read.validityDays ?? defaultDays(authority, policy)
  const request = withoutUnpermitted({ ...read, validityDays }, policy)
  const [claims, holders, fault] = await Promise.all([
    known ?? claimsTogether(ctx, requestedHosts(request)),
    holdersTogether(ctx, possibleTenants(request)),
    request.spki ? keyFault(ctx.db.read, request.spki, tenant.id) : undefined,
  ])
  const faults = [
    ...policyFaults(request, { tenantId: tenant.id, policy, claims, holders }),
    ...limitFaults(request, authority, constraints),
    ...(fault === undefined ? [] : [{ field: '/csr', message: fault }]),
  ]
  return { tenant, authority, request, faults }
}

/** The texts of the subject that may be the names of tenants; a host that it is for is none. */
function possibleTenants({ names, subject }: IssuanceRequest): readonly string[] {
  return namesIn(subject).filter((text) => !names.dnsNames.includes(text))
}

/** The rules that apply to a certificate: the tenant, who signs for it, and who has which of the domains. */
export type IssuanceRules = {
  readonly tenant: TenantRow
  readonly authority: IssuingAuthority
  /** On the host names of the request, if they have been read. */
  readonly claims?: readonly Claim[]
}

/** The rules for a tenant that requests a certificate of an authority, or else of its default one, for
 *  these host names. All of it is read at once, with that of other requests of the same moment. Throws
 *  tenant-unknown, forbidden, authority-unknown. */
export async function issuanceRules(
  ctx: Context,
  actor: Actor,
  request: { tenant: string; authority: string | undefined; hosts: readonly string[] },
): Promise<IssuanceRules> {
  const [row, named, claims] = await Promise.all([
    findTenant(ctx)(request.tenant),
    request.authority === undefined ? null : findIssuing(ctx)(request.authority),
    claimsTogether(ctx, request.hosts),
  ])
  const access = { name: request.tenant, permission: 'write-certificates' } as const
  const tenant = accessible(row, actor, access)
  const name = request.authority ?? tenant.defaultAuthority?.name
  if (name === undefined) {
    throw new Problem(
      'authority-unknown',
      `Name an authority: tenant "${tenant.name}" has no defaultAuthority`,
    )
  }
  const authority = request.authority === undefined ? tenant.defaultAuthority : named
  return { tenant, authority: usableAuthority(authority, { name, tenantId: tenant.id }), claims }
}

const findTenant = oncePer((ctx) =>
  batchedReads(
    (names) =>
      ctx.db.read.tenant.findMany({
        where: { name: { in: names } },
        include: { defaultAuthority: { include: issuing } },
      }),
    ({ name }) => name,
  ),
)
