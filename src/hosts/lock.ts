import { sql, type Tx } from '../core/database/db.ts'

/** Holds these until the transaction ends. Everyone takes them in the same order, so nobody waits in a
 *  circle. `cluster/<id>`: who may answer for which name there. `host/<tenantId>/<name>`: what is wanted
 *  of the host. */
export async function lock(tx: Tx, keys: readonly string[]): Promise<void> {
  // Rows of an array come in its order.
  await tx.$executeRaw(sql`
    select pg_advisory_xact_lock(hashtextextended(key, 0)) from unnest(${keys.toSorted()}::text[]) as key`)
}

/** What to lock for a host. */
export function hostLock(host: { readonly tenantId: string; readonly name: string }): string {
  return `host/${host.tenantId}/${host.name}`
}

/** What to lock for the names on a cluster. */
export function clusterLock(clusterId: string): string {
  return `cluster/${clusterId}`
}
