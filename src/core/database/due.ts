import Type from 'typebox'
import Value from 'typebox/value'
import { sql, type Tx } from './db.ts'

/** What the queue is told of a kind of work. */
type Order<Key> = {
  /** Jobs of one queue are done one after the other. */
  readonly queue?: (key: Key) => string
  /** Lower comes first (0). */
  readonly priority?: number
}

type DueKind<Key> = {
  readonly priority: number
  readonly queueOf: (key: Key) => string | null
  /** In this order its members make up the name of a job. */
  readonly members: readonly string[]
  readonly read: (key: unknown) => Key | undefined
}

function kindOf<Key extends Type.TObject>(
  Key: Key,
  { queue, priority = 0 }: Order<Type.Static<Key>> = {},
): DueKind<Type.Static<Key>> {
  return {
    priority,
    queueOf: (key) => queue?.(key) ?? null,
    members: Object.keys(Key.properties),
    read: (key) => (Value.Check(Key, key) ? key : undefined),
  }
}

const Text = Type.String()
const ClusterKey = Type.Object({ clusterId: Text })
const PlacementKey = Type.Object({ placementId: Text, clusterId: Text })

/** A cluster is a queue of its own, so that a dead one never slows the others. */
function queue({ clusterId }: { readonly clusterId: string }): string {
  return `cluster/${clusterId}`
}

/** Every kind of work that can be due, what its key says, and how the queue deals with it. A key names the
 *  thing to look at, never what to do with it: the state of the world is the payload. What is done about
 *  each kind is in src/jobs/tasks.ts. */
const kinds = {
  /** See that a host has a certificate that fits what it asks for. */
  'host.certify': kindOf(Type.Object({ hostId: Text })),
  /** Replace a certificate that is due, with a key made here. */
  'certificate.renew': kindOf(Type.Object({ certificateId: Text })),
  /** Look whether what a tenant has is still as its policy wants it. */
  'tenant.review': kindOf(Type.Object({ tenantId: Text })),
  /** Bring a host on a cluster to what is wanted. */
  'placement.push': kindOf(PlacementKey, { queue }),
  /** Look whether a host on a cluster still is as was said; this gives way to what was changed. */
  'placement.look': kindOf(PlacementKey, { queue, priority: 10 }),
  /** Replace the certificates that an order is about. */
  'replacement.advance': kindOf(Type.Object({ replacementId: Text })),
  /** Take the change of an authority's key as far as it can go now. */
  'authority.rotate': kindOf(Type.Object({ authorityId: Text })),
  /** Publish the revocation lists of an authority's key that are behind; one after the other, or the same
   *  list would be built twice at once. */
  'authority.publish': kindOf(Type.Object({ keyId: Text }), {
    queue: ({ keyId }) => `key/${keyId}`,
  }),
  /** Revoke the certificates that have a blocked key. */
  'blocked-key.revoke': kindOf(Type.Object({ spkiSha256: Text })),
  /** Look whether a cluster answers, before anything is sent there. */
  'cluster.check': kindOf(ClusterKey, { queue, priority: -1 }),
}

/** The key of each kind of due work. */
export type Due = {
  readonly [Kind in keyof typeof kinds]: Readonly<
    NonNullable<ReturnType<(typeof kinds)[Kind]['read']>>
  >
}

const dueKinds: { readonly [Kind in keyof Due]: DueKind<Due[Kind]> } = kinds

/** The names of all kinds of due work. */
export const dueTasks: readonly string[] = Object.keys(dueKinds)

/** Whether this release knows this kind of due work. */
export function isDueKind(task: string): task is keyof Due {
  return Object.hasOwn(dueKinds, task)
}

/** Who takes a job: `slow` are the few slots of a worker that wait for what did not answer last time. */
export type Lane = 'main' | 'slow'

/** The flag by which the queue keeps jobs of the slow lane from all other slots. */
export const slowFlag = 'slow'

/** Adds a job in the transaction of the change that makes it due. Jobs of one key that have not begun
 *  coalesce; `at` (default: now) of the last one counts. */
export async function due<Kind extends keyof Due>(
  tx: Tx,
  kind: Kind,
  key: Due[Kind],
  at: Date | null = null,
  lane: Lane = 'main',
): Promise<void> {
  const { priority, queueOf } = dueKinds[kind]
  // The queue adds nothing when a worker takes the job of this key between two of its statements. That
  // one may have read the state of before, so the job is asked for once more: now as one that runs.
  for (let tries = 0; tries < 5; tries++) {
    const added = await tx.$queryRaw<readonly unknown[]>(sql`
      select id from graphile_worker.add_job(${kind}, ${JSON.stringify(key)}::json,
        queue_name => ${queueOf(key)}, run_at => coalesce(${at}::timestamptz, now()),
        max_attempts => 25, priority => ${priority}::int,
        flags => ${lane === 'slow' ? [slowFlag] : null}::text[], job_key => ${jobKey(kind, key)}, job_key_mode => 'replace')
      where id is not null`)
    if (added.length > 0) return
  }
  throw new Error(`${kind} cannot be made due: workers take it again and again`)
}

/** The name by which jobs coalesce: the kind, then the members of its key in their order. */
export function jobKey<Kind extends keyof Due>(kind: Kind, key: Due[Kind]): string {
  const values = new Map<string, unknown>(Object.entries(key))
  return [kind, ...dueKinds[kind].members.map((name) => values.get(name))].join('/')
}

/** The key of a job of this kind, as the queue kept it; undefined when it is none. */
export function readKey<Kind extends keyof Due>(kind: Kind, key: unknown): Due[Kind] | undefined {
  return dueKinds[kind].read(key)
}
