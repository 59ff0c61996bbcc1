import { sql, type Tx } from '../core/database/db.ts'

/** Keeps which names a placement answers for: from now on these, and those that it was asked for before until
 *  they are seen to be gone (`releaseNames`), since they are still served. The host's own name is there by
 *  itself. Ask for conflicts before, under the cluster's lock (src/hosts/neighbours/conflictson.ts). */
export async function holdNames(
  tx: Tx,
  placementId: string,
  names: readonly string[],
): Promise<void> {
  await tx.$executeRaw(sql`
    update placement_name set "wanted" = "name" = any(${names}::text[])
    where "placementId" = ${placementId}::uuid`)
  await tx.$executeRaw(sql`
    insert into placement_name ("placementId", "clusterId", "ingress", "name")
    select "id", "clusterId", "ingress", asked
    from placement, unnest(${names}::text[]) as asked where "id" = ${placementId}::uuid
    on conflict ("placementId", "name") do nothing`)
}

/** Others may have the names that these are no longer asked for: the ingress was seen to serve what is. */
export async function releaseNames(tx: Tx, placementIds: readonly string[]): Promise<void> {
  const where = { placementId: { in: [...placementIds] }, wanted: false }
  await tx.placementName.deleteMany({ where })
}
