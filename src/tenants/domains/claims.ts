import type { Context } from '../../core/context.ts'
import { batched } from '../../core/database/batch.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { oncePer } from '../../core/onceper.ts'
import { unstorable } from '../../shared/unstorable.ts'
import type { NameHolder } from '../subject.ts'
import { type Claim, suffixes } from './ownership.ts'

/** Every tenant's claim on a domain that covers one of these host names, or that one of them covers as
 *  a wildcard; for `claimFault`. */
export async function claimsOn(tx: Tx, hosts: readonly string[]): Promise<readonly Claim[]> {
  const [claims] = await readClaims(tx, [hosts])
  return claims ?? []
}

/** As claimsOn, for requests outside a transaction: those of the same moment share one statement. */
export function claimsTogether(ctx: Context, hosts: readonly string[]): Promise<readonly Claim[]> {
  return gathered(ctx)(hosts)
}

const gathered = oncePer((ctx) =>
  batched((requests: readonly (readonly string[])[]) => readClaims(ctx.db.read, requests), {
    size: 200,
    lanes: 2,
  }),
)

async function readClaims(
  tx: Tx,
  named: readonly (readonly string[])[],
): Promise<readonly (readonly Claim[])[]> {
  // A name of a CSR may be text that PostgreSQL cannot hold, and so nobody's domain either.
  const requests = named.map((hosts) => hosts.filter(isStorable))
  const possible = requests.map((hosts) => new Set(hosts.flatMap(suffixes)))
  const domains = [...new Set(possible.flatMap((each) => [...each]))]
  const bases = requests.map((hosts) => hosts.filter(isWildcard).map((host) => host.slice(1)))
  const [tenants, below] = await Promise.all([
    tx.tenant.findMany({
      where: { domains: { hasSome: domains } },
      select: { id: true, domains: true },
    }),
    claimsBelow(tx, [...new Set(bases.flat())]),
  ])
  return possible.map((covering, index) => [
    ...tenants.flatMap(({ id, domains: held }) =>
      held.filter((each) => covering.has(each)).map((domain) => ({ tenantId: id, domain })),
    ),
    ...below.filter(({ domain }) => bases[index]?.some((base) => domain.endsWith(base))),
  ])
}

function isStorable(host: string): boolean {
  return unstorable(host, '') === undefined
}

function isWildcard(host: string): boolean {
  return host.startsWith('*.')
}

/** The claims on domains that end like one of these (`.example.com`). */
async function claimsBelow(tx: Tx, bases: readonly string[]): Promise<readonly Claim[]> {
  if (bases.length === 0) return []
  return tx.$queryRaw<readonly Claim[]>(sql`
    select "id"::text as "tenantId", "domain" from tenant, unnest("domains") as "domain"
    where exists (select from unnest(${bases}::text[]) as base
      where right("domain", length(base)) = base)`)
}

/** The tenants that have one of these texts, folded, as their name or the one that people see. Requests
 *  of the same moment share one statement; without texts nothing is asked. */
export async function holdersTogether(
  ctx: Context,
  names: readonly string[],
): Promise<readonly NameHolder[]> {
  return names.length === 0 ? [] : holders(ctx)(names)
}

const holders = oncePer((ctx) =>
  batched(
    async (requests: readonly (readonly string[])[]) => {
      const all = [...new Set(requests.flat())]
      const rows = await ctx.db.read.tenant.findMany({
        where: { OR: [{ name: { in: all } }, { foldedName: { in: all } }] },
        select: { id: true, name: true, foldedName: true },
      })
      const found = rows.flatMap(({ id, name, foldedName }) => [
        { tenantId: id, name },
        { tenantId: id, name: foldedName },
      ])
      return requests.map((names) => found.filter(({ name }) => names.includes(name)))
    },
    { size: 200, lanes: 2 },
  ),
)
