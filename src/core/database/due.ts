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
  /** Look whether a host on a cluster still is as was said. */
  'placement.look': { readonly placementId: string; readonly clusterId: string }
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

/** Who takes a job: `slow` are the few slots of a worker that wait for what did not answer last time. */
export type Lane = 'main' | 'slow'

/** The flag by which the queue keeps jobs of the slow lane from all other slots. */
export const slowFlag = 'slow'

/** Adds a job in the transaction of the change that makes it due. Jobs of one key that have not begun
 *  coalesce; `at` (default: now) of the last one counts. */
export function due<Kind extends keyof Due>(
  tx: Tx,
  kind: Kind,
  key: Due[Kind],
  at: Date | null = null,
  lane: Lane = 'main',
): Promise<void> {
  return dueAnew(tx, { task: kind, key, lane }, at)
}

/** The same, for a job as the queue knows it. */
export async function dueAnew(
  tx: Tx,
  {
    task,
    key,
    lane = 'main',
  }: { readonly task: string; readonly key: object; readonly lane?: Lane },
  at: Date | null = null,
): Promise<void> {
  // The queue adds nothing when a worker takes the job of this key between two of its statements. That
  // one may have read the state of before, so the job is asked for once more: now as one that runs.
  for (let tries = 0; tries < 5; tries++) {
    const added = await tx.$queryRaw<readonly unknown[]>(sql`
      select id from graphile_worker.add_job(${task}, ${JSON.stringify(key)}::json,
        queue_name => ${queueOf(key)}, run_at => coalesce(${at}::timestamptz, now()),
        max_attempts => 25, priority => ${priorityOf(task)}::int,
        flags => ${lane === 'slow' ? [slowFlag] : null}::text[], job_key => ${jobKey(task, key)}, job_key_mode => 'replace')
      where id is not null`)
    if (added.length > 0) return
  }
  throw new Error(`${task} cannot be made due: workers take it again and again`)
}

/** Whether a cluster answers is known before anything is sent there; what is only looked at again gives
 *  way to what was changed. */
function priorityOf(task: string): number {
  if (task === 'placement.look') return 10
  return task === 'cluster.check' ? -1 : 0
}

/** The name by which jobs coalesce. */
export function jobKey(task: string, key: object): string {
  return [task, ...Object.values(key)].join('/')
}

/** A cluster is a queue of its own, so that a dead one never slows the others; so is a key, whose lists
 *  would otherwise be built twice at once. */
function queueOf(key: object): string | null {
  if ('clusterId' in key) return `cluster/${key.clusterId}`
  return 'keyId' in key ? `key/${key.keyId}` : null
}
