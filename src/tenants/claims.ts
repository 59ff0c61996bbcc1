import { batched } from '../ground/batch.ts'
import type { Context } from '../ground/context.ts'
import type { Tx } from '../ground/db.ts'
import { perContext } from '../ground/percontext.ts'
import { type Claim, suffixes } from './domains.ts'

/** Every tenant's claim on a domain that covers one of these host names; for `owns`. */
export async function claimsOn(tx: Tx, hosts: readonly string[]): Promise<readonly Claim[]> {
  const [claims] = await readClaims(tx, [hosts])
  return claims ?? []
}

/** As claimsOn, for requests outside a transaction: those of the same moment share one statement. */
export function claimsTogether(ctx: Context, hosts: readonly string[]): Promise<readonly Claim[]> {
  return gathered(ctx)(hosts)
}

const gathered = perContext((ctx) =>
  batched((asked: readonly (readonly string[])[]) => readClaims(ctx.db.read, asked), {
    size: 200,
    lanes: 2,
  }),
)

async function readClaims(
  tx: Tx,
  asked: readonly (readonly string[])[],
): Promise<readonly (readonly Claim[])[]> {
  const possible = asked.map((hosts) => new Set(hosts.flatMap(suffixes)))
  const domains = [...new Set(possible.flatMap((each) => [...each]))]
  const tenants = await tx.tenant.findMany({
    where: { domains: { hasSome: domains } },
    select: { id: true, domains: true },
  })
  return possible.map((covering) =>
    tenants.flatMap(({ id, domains: held }) =>
      held.filter((each) => covering.has(each)).map((domain) => ({ tenantId: id, domain })),
    ),
  )
}
