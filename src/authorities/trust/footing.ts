import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { must } from '../../shared/must.ts'
import { type Clients, type GivenLists, gatewayTrust } from '../crl/gateway.ts'
import { pathOf } from '../issuers/current.ts'

/** A CA certificate as far as the question goes whether it holds. */
export type Above = {
  readonly authority: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly revokedAt: Date | null
}

/** The issuer and all above it, root last. */
export function issuersAbove(tx: Tx, issuerId: string): Promise<readonly Above[]> {
  return tx.$queryRaw<readonly Above[]>(sql`
    with recursive path as (
      select 0 as depth, issuer.* from issuer where "id" = ${issuerId}::uuid
      union all
      select path.depth + 1, issuer.* from path join issuer on issuer."id" = path."parentId"
    )
    select authority."name" as authority, "notBefore", "notAfter", "revokedAt"
    from path join authority on authority."id" = path."authorityId" order by depth`)
}

/** The self-signed certificate at the end of an issuer's path, DER: what clients of its leaves trust. */
export async function rootOf(tx: Tx, issuerId: string): Promise<Buffer> {
  return must((await pathOf(tx, issuerId)).at(-1), 'an issuer has a path').anchor
}

/** What is trusted for these clients, and how it stands with the lists that go with it. */
export async function clientTrustOf(
  ctx: Context,
  clients: Clients,
): Promise<{ readonly trusted: readonly Above[]; readonly lists: GivenLists }> {
  const { authority } = clients
  const rows = await ctx.db.read.issuer.findMany({
    where: { authority: { name: authority }, trusted: true },
    select: {
      notBefore: true,
      notAfter: true,
      revokedAt: true,
    },
    orderBy: { createdAt: 'asc' },
  })
  const trusted = rows.map(({ notBefore, notAfter, revokedAt }) => ({
    ...{ authority, notBefore, notAfter, revokedAt },
  }))
  if (rows.length === 0) return { trusted, lists: noLists }
  return { trusted, lists: (await gatewayTrust(ctx, clients, { asPublished: true })).lists }
}

const noLists = { ends: [], octets: 0, keys: [], refused: [], overflow: 'refuse' } as const
