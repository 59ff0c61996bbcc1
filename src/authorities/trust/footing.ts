import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { sql } from '../../core/database/db.ts'
import { oncePer } from '../../core/onceper.ts'
import { must } from '../../shared/must.ts'
import { type Clients, type GivenLists, gatewayTrust } from '../crl/gateway.ts'
import { pathsOf } from '../issuers/current.ts'

/** A CA certificate as far as the question goes whether it holds. */
export type Above = {
  readonly authority: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly revokedAt: Date | null
}

/** The issuer and all above it, root last. Hosts that are looked at together mostly have one issuer. */
export async function issuersAbove(ctx: Context, issuerId: string): Promise<readonly Above[]> {
  return (await aboveOf(ctx)(issuerId))?.above ?? []
}

const aboveOf = oncePer((ctx) =>
  batchedReads(
    async (ids) => {
      const rows = await ctx.db.read.$queryRaw<readonly (Above & { readonly leaf: string })[]>(sql`
        with recursive path as (
          select "id" as leaf, 0 as depth, issuer.* from issuer where "id" = any(${ids}::uuid[])
          union all
          select path.leaf, path.depth + 1, issuer.*
          from path join issuer on issuer."id" = path."parentId"
        )
        select leaf::text, authority."name" as authority, "notBefore", "notAfter", "revokedAt"
        from path join authority on authority."id" = path."authorityId" order by leaf, depth`)
      return [...Map.groupBy(rows, ({ leaf }) => leaf)].map(([leaf, all]) => ({
        leaf,
        above: all.map(({ leaf: _, ...each }) => each),
      }))
    },
    ({ leaf }) => leaf,
  ),
)

/** The self-signed certificate at the end of an issuer's path, DER: what clients of its leaves trust. */
export async function rootOf(ctx: Context, issuerId: string): Promise<Buffer> {
  const path = must(await pathFrom(ctx)(issuerId), 'an issuer has a path')
  return must(path.at(-1), 'a path has an end').anchor
}

const pathFrom = oncePer((ctx) => {
  const read = batchedReads(
    async (ids) => [...(await pathsOf(ctx.db.read, ids))].map(([leaf, path]) => ({ leaf, path })),
    ({ leaf }) => leaf,
  )
  return async (issuerId: string) => (await read(issuerId))?.path
})

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
