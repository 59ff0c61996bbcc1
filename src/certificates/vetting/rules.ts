import {
  findIssuing,
  type IssuingAuthority,
  issuing,
  usableAuthority,
} from '../../authorities/issuers/current.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem } from '../../shared/problem.ts'
import { accessible, type TenantRow } from '../../tenants/access.ts'
import { claimsTogether } from '../../tenants/domains/claims.ts'
import type { Claim } from '../../tenants/domains/ownership.ts'

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
