import { sql, type Tx } from '../ground/db.ts'
import { readCertificate, signsLists } from '../x509/certificate.ts'
import { pathOf } from './issuer.ts'
import { permitsTenantUris } from './tenantnames.ts'

/** To whom certificates are issued that lead to each of these authorities, by it or by one below it:
 *  ids of tenants, and null where any tenant may be issued to. */
export async function issuedTo(
  tx: Tx,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly (string | null)[]>> {
  if (names.length === 0) return new Map()
  const rows = await tx.$queryRaw<readonly { top: string; tenantId: string | null }[]>(sql`
    with recursive below as (
      select "name" as top, "id", "tenantId" from authority where "name" = any(${[...names]})
      union all
      select below.top, authority."id", authority."tenantId"
      from below join authority on authority."parentId" = below."id"
    )
    select distinct top, "tenantId"::text from below`)
  const groups = Map.groupBy(rows, ({ top }) => top)
  return new Map([...groups].map(([top, all]) => [top, all.map(({ tenantId }) => tenantId)]))
}

/** Why certificates of this authority cannot say whose client it is, or undefined: only what is issued
 *  here names its tenant, where name constraints let it. */
export async function unnamedReason(tx: Tx, name: string): Promise<string | undefined> {
  const issuers = await tx.issuer.findMany({
    where: { authority: { name }, issues: true },
    select: { id: true, key: { select: { store: true } } },
  })
  for (const { id, key } of issuers) {
    if (key.store === 'absent') return 'its certificates are not issued here'
    const path = await pathOf(tx, id)
    const held = path.flatMap(({ der }) => readCertificate(der).nameConstraints ?? [])
    if (!permitsTenantUris(held)) return 'its name constraints allow no URI of a tenant'
  }
  return undefined
}

/** The authorities above this one, by name. */
export async function namesAbove(tx: Tx, id: string): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<readonly { name: string }[]>(sql`
    with recursive above as (
      select "parentId" from authority where "id" = ${id}::uuid
      union all
      select authority."parentId" from above join authority on authority."id" = above."parentId"
    )
    select "name" from authority join above on authority."id" = above."parentId"`)
  return rows.map(({ name }) => name)
}

/** Why gateways could not be told which clients of this authority are revoked, or undefined: of one that
 *  issues here and may not sign lists, every revoked client would be let in, or, given a list that they
 *  do not take, none at all. */
export async function unlistedReason(tx: Tx, name: string): Promise<string | undefined> {
  const issuers = await tx.issuer.findMany({
    where: { authority: { name }, trusted: true, key: { store: { not: 'absent' } } },
    select: { der: true },
  })
  return issuers.every(({ der }) => signsLists(readCertificate(Buffer.from(der))))
    ? undefined
    : 'its certificate does not allow it to sign revocation lists (keyUsage without cRLSign)'
}
