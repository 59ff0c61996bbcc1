import { sql, type Tx } from './db.ts'

/** Every kind of work that can be due, and what its key says. A key names the thing to look at, never
 *  what to do with it: the state of the world is the payload. */
export type Due = {
  /** See that a host has a certificate that fits what it asks for. */
  'host.certify': { readonly hostId: string }
  /** Replace a certificate that is due, with a key made here. */
  'certificate.renew': { readonly certificateId: string }
  /** Look whether what a tenant has is still as its policy wants it. */
  'tenant.review': { readonly tenantId: string }
  /** Bring a host on a cluster to what is wanted. */
  'placement.push': { readonly placementId: string; readonly clusterId: string }
  /** Replace the certificates that an order is about. */
  'replacement.advance': { readonly replacementId: string }
  /** Take the change of an authority's key as far as it can go now. */
  'authority.rotate': { readonly authorityId: string }
  /** Publish the revocation lists of an authority's key that are behind. */
  'authority.publish': { readonly keyId: string }
  /** Revoke the certificates that have a blocked key. */
  'blocked-key.revoke': { readonly spkiSha256: string }
  /** Look whether a cluster answers. */
  'cluster.check': { readonly clusterId: string }
}

/** Adds a job in the transaction of the change that makes it due. Jobs of one key that have not begun
 *  coalesce; `at` (default: now) of the last one counts. */
export async function due<Kind extends keyof Due>(
  tx: Tx,
  kind: Kind,
  key: Due[Kind],
  at: Date | null = null,
): Promise<void> {
  const names = Object.values(key)
  const queue = queueOf(key)
  await tx.$executeRaw(sql`
    select graphile_worker.add_job(${kind}, ${JSON.stringify(key)}::json, queue_name => ${queue},
      run_at => coalesce(${at}::timestamptz, now()), max_attempts => 25,
      job_key => ${[kind, ...names].join('/')}, job_key_mode => 'replace')`)
}

/** A cluster is a queue of its own, so that a dead one never slows the others; so is a key, whose lists
 *  would otherwise be built twice at once. */
function queueOf(key: Due[keyof Due]): string | null {
  if ('clusterId' in key) return `cluster/${key.clusterId}`
  return 'keyId' in key ? `key/${key.keyId}` : null
}
