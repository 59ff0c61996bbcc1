import type { Tx } from '../ground/db.ts'
import { type Claim, suffixes } from './domains.ts'

/** Every tenant's claim on a domain that covers one of these host names; for `owns`. */
export async function claimsOn(tx: Tx, hosts: readonly string[]): Promise<readonly Claim[]> {
  const possible = [...new Set(hosts.flatMap(suffixes))]
  if (possible.length === 0) return []
  const rows = await tx.tenant.findMany({
    where: { domains: { hasSome: possible } },
    select: { id: true, domains: true },
  })
  const covering = new Set(possible)
  return rows.flatMap(({ id, domains }) =>
    domains.filter((each) => covering.has(each)).map((domain) => ({ tenantId: id, domain })),
  )
}
