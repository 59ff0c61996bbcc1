import { type Sql, sql, type Tx } from '../../core/database/db.ts'
import { authorityList, type ListKey, mostShards, wholeList } from '../crl/urls.ts'
import { dueAll, trustingPlacements } from './placements.ts'

/** A tenant as lists know it. */
export type ListedTenant = { readonly id: string; readonly crlShard: number }

/** Whether an unexpired certificate by which a client could come is revoked, among those that the
 *  authority issued by any of its keys to this tenant, or to anyone (null): only then do gateways need
 *  its lists. */
export async function clientsRevoked(
  tx: Tx,
  authorityId: string,
  { tenant, now }: { readonly tenant: ListedTenant | null; readonly now: Date },
): Promise<boolean> {
  const whose = tenant
    ? sql`and "tenantId" = ${tenant.id}::uuid
        and ("crlShard" = ${tenant.crlShard}::int or "crlShard" <= ${mostShards}::int)`
    : sql``
  const [found] = await tx.$queryRaw<readonly { any: boolean }[]>(
    sql`select ${anyRevoked(authorityId, now, whose)} as any`,
  )
  return found?.any ?? false
}

function anyRevoked(authorityId: string, now: Date, whose = sql``): Sql {
  return sql`exists (
    select from certificate join issuer on issuer."id" = certificate."issuerId"
    where issuer."authorityId" = ${authorityId}::uuid and certificate."revokedAt" is not null
      and certificate."profile" in ('client', 'peer')
      and certificate."notAfter" >= ${now}::timestamptz ${whose})`
}

/** The lists that server certificates share and that clients of the tenant name, too: clients that were
 *  issued to before tenants had lists of their own. */
export async function sharedShards(
  tx: Tx,
  {
    keyId,
    tenant,
    now,
  }: { readonly keyId: string; readonly tenant: ListedTenant; readonly now: Date },
): Promise<readonly number[]> {
  const rows = await tx.$queryRaw<readonly { shard: number }[]>(sql`
    select distinct "crlShard" as shard from certificate
    where "issuerId" in (select "id" from issuer where "keyId" = ${keyId}::uuid)
      and "crlShard" <= ${mostShards}::int and "profile" in ('client', 'peer')
      and "tenantId" = ${tenant.id}::uuid and "notAfter" >= ${now}::timestamptz
    order by 1`)
  return rows.map(({ shard }) => shard)
}

/** An authority whose key signs lists. */
export type ListingAuthority = {
  readonly id: string
  readonly name: string
  readonly tenantId: string | null
}

/** Makes the placements of hosts due that hold this list of the authority's; answers how many. */
export async function dueWhereTrusted(
  tx: Tx,
  { keyId, shard }: ListKey,
  { authority, now }: { readonly authority: ListingAuthority; readonly now: Date },
): Promise<number> {
  // Hosts name it as it is called now.
  const [listing] = await tx.$queryRaw<readonly { name: string }[]>(sql`
    select "name" from authority where "id" = ${authority.id}::uuid and ${anyRevoked(authority.id, now)}`)
  if (!listing) return 0
  const holders = await holdersOf(tx, { keyId, shard }, { own: authority.tenantId !== null, now })
  const placements = await trustingPlacements(tx, listing.name, holders)
  await dueAll(tx, placements)
  return placements.length
}

/** Which hosts hold a list: see src/authorities/crl/gateway.ts. */
async function holdersOf(
  tx: Tx,
  { keyId, shard }: ListKey,
  { own, now }: { readonly own: boolean; readonly now: Date },
) {
  if (shard === authorityList) return {}
  if (shard === wholeList) {
    return own ? {} : { spec: { path: ['tls', 'clients'], equals: 'authority' } }
  }
  if (shard > mostShards) return { tenant: { crlShard: shard } }
  const rows = await tx.$queryRaw<readonly { id: string }[]>(sql`
    select distinct "tenantId"::text as "id" from certificate
    where "issuerId" in (select "id" from issuer where "keyId" = ${keyId}::uuid)
      and "crlShard" = ${shard}::int and "crlShard" <= ${mostShards}::int
      and "profile" in ('client', 'peer') and "notAfter" >= ${now}::timestamptz`)
  return { tenantId: { in: rows.map(({ id }) => id) } }
}
