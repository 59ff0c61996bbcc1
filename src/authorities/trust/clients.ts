import { sql, type Tx } from '../../core/database/db.ts'
import { readCertificate, signsLists } from '../../x509/certificates/read.ts'
import { pathOf } from '../issuers/current.ts'
import { permitsTenantUris } from './tenantnames.ts'

/** Somebody whose certificates lead to an authority. */
export type Issuing = {
  /** Whose clients they are; null: any tenant may be issued to. */
  readonly tenantId: string | null
  /** The key is not here: nothing keeps certificates of it from naming any tenant, or none. */
  readonly elsewhere: boolean
}

/** Who issues certificates that lead to each of these authorities: it and all below it, also those that
 *  were cross-signed by one of them. */
export async function issuingUnder(
  tx: Tx,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly Issuing[]>> {
  if (names.length === 0) return new Map()
  const rows = await tx.$queryRaw<readonly (Issuing & { top: string })[]>(sql`
    with recursive below as (
      select "name" as top, "id", "tenantId" from authority where "name" = any(${[...names]})
      union
      select below.top, authority."id", authority."tenantId"
      from below join issuer above on above."authorityId" = below."id"
      join issuer on issuer."parentId" = above."id"
      join authority on authority."id" = issuer."authorityId"
      where authority."removedAt" is null
    )
    select distinct top, "tenantId"::text, exists (
      select 1 from issuer join authority_key on authority_key."id" = issuer."keyId"
      where issuer."authorityId" = below."id" and issuer."trusted"
        and authority_key."store" = 'absent') as elsewhere
    from below`)
  return Map.groupBy(rows, ({ top }) => top)
}

/** Whether the authority's name constraints let its certificates name their tenant. */
export async function namesTenants(tx: Tx, name: string): Promise<boolean> {
  const issuers = await tx.issuer.findMany({
    where: { authority: { name }, issues: true },
    select: { id: true },
  })
  const paths = await Promise.all(issuers.map(({ id }) => pathOf(tx, id)))
  const held = paths.flat().flatMap(({ der }) => readCertificate(der).nameConstraints ?? [])
  return permitsTenantUris(held)
}

/** The authorities above this one, by name: those that signed one of its certificates, and all above
 *  them. */
export async function namesAbove(tx: Tx, id: string): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<readonly { name: string }[]>(sql`
    with recursive above as (
      select ${id}::uuid as "id"
      union
      select parent."authorityId" from above
      join issuer on issuer."authorityId" = above."id"
      join issuer parent on parent."id" = issuer."parentId"
    )
    select "name" from authority join above using ("id") where "id" <> ${id}::uuid`)
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
