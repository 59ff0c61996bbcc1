import Type from 'typebox'
import { conforms, isRecord } from '../../shared/shape.ts'
import { Trace, traceHere } from '../tracing.ts'
import { sql, type Tx } from './db.ts'

/** What the queue is told of a kind of work. */
type Order<Key> = {
  /** Jobs of one queue are done one after the other. */
  readonly queue?: (key: Key) => string
  /** How urgent it is unless said otherwise. */
  readonly urgency?: Urgency
}

/** What is done first: what waits for it, the most urgent first. */
const priorities = {
  /** A client that was let in is to be refused. */
  revocation: -4,
  /** A certificate is about to end. */
  ending: -3,
  /** Whether a cluster answers, before anything is sent there. */
  check: -2,
  /** Somebody asked for it. */
  change: 0,
  /** Others changed what we made. */
  repair: 2,
  /** To see that all is as it was. */
  look: 10,
} as const
export type Urgency = keyof typeof priorities

/** How urgent a job of this priority is: `alone`, nothing else is begun while it is done. */
export function urgencyOf(priority: number): { readonly urgent: boolean; readonly alone: boolean } {
  return { urgent: priority < 0, alone: priority <= priorities.revocation }
}

type DueKind<Key> = {
  readonly urgency: Urgency
  readonly queueOf: (key: Key) => string | null
  /** In this order its members make up the name of a job. */
  readonly members: readonly string[]
  readonly read: (key: unknown) => Key | undefined
}

function kindOf<Key extends Type.TObject>(
  Key: Key,
  { queue, urgency = 'change' }: Order<Type.Static<Key>> = {},
): DueKind<Type.Static<Key>> {
  return {
    urgency,
    queueOf: (key) => queue?.(key) ?? null,
    members: Object.keys(Key.properties),
    read: (key) => (conforms(Key, key) ? key : undefined),
  }
}

const Text = Type.String()
const ClusterKey = Type.Object({ clusterId: Text })
const PlacementKey = Type.Object({ placementId: Text, clusterId: Text })
const TargetKey = Type.Object({ targetId: Text, clusterId: Text })

/** What is due of a cluster's placements is in one queue, of which many jobs are done together. */
function queue(what: string) {
  return ({ clusterId }: Type.Static<typeof PlacementKey>) => `${what}/${clusterId}`
}

/** So many deliveries of a cluster are dealt with at once: each is in one of so many queues, so that a cluster
 *  that is slow, or dead, holds no more slots than there are. */
const width = 8

function queueOn({ targetId, clusterId }: Type.Static<typeof TargetKey>): string {
  return `cluster/${clusterId}/${Number.parseInt(targetId.slice(-2), 16) % width || 0}`
}

/** The keys of these placements, in their order. */
export function placementKeys(
  placements: readonly { readonly id: string; readonly clusterId: string }[],
): readonly Type.Static<typeof PlacementKey>[] {
  return placements.map(({ id: placementId, clusterId }) => ({ placementId, clusterId }))
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
  'placement.push': kindOf(PlacementKey, { queue: queue('cluster') }),
  /** See whether the ingress serves a host as it was brought there; holds up nothing that is to be brought. */
  'placement.confirm': kindOf(PlacementKey, { queue: queue('proof') }),
  /** Look whether a host on a cluster still is as was said; this gives way to what was changed. */
  'placement.look': kindOf(PlacementKey, {
    queue: queue('cluster'),
    urgency: 'look',
  }),
  /** Bring the Secret of a delivery on a cluster to what is wanted. */
  'delivery.reconcile': kindOf(TargetKey, { queue: queueOn }),
  /** Replace the certificates that an order is about. */
  'replacement.advance': kindOf(Type.Object({ replacementId: Text })),
  /** Take the change of an authority's key as far as it can go now. */
  'authority.rotate': kindOf(Type.Object({ authorityId: Text })),
  /** Publish the revocation lists of an authority's key that are behind; one after the other, or the same
   *  list would be built twice at once. */
  'authority.publish': kindOf(Type.Object({ keyId: Text }), {
    queue: ({ keyId }) => `key/${keyId}`,
    urgency: 'revocation',
  }),
  /** Revoke the certificates that have a blocked key, or tell of them where they were uploaded. */
  'blocked-key.revoke': kindOf(Type.Object({ spkiSha256: Text })),
  /** Send a notice. What does not answer holds up no more than a few slots. */
  'notice.send': kindOf(Type.Object({ noticeId: Text, receiverId: Text }), {
    queue: ({ receiverId }) => `notices/${Number.parseInt(receiverId.slice(-2), 16) % 4 || 0}`,
  }),
  /** Look for a challenge that an ACME client says is there. What does not answer holds up no more than a few slots. */
  'acme.validate': kindOf(Type.Object({ challengeId: Text }), {
    queue: ({ challengeId }) => `acme/${Number.parseInt(challengeId.slice(-2), 16) % 4 || 0}`,
  }),
  /** Finish an order of an ACME client that was left under way. */
  'acme.finish': kindOf(Type.Object({ orderId: Text })),
  /** Bring our account with a CA elsewhere to what is wanted. */
  'ca.account': kindOf(Type.Object({ authorityId: Text }), {
    queue: ({ authorityId }) => `ca-account/${authorityId}`,
  }),
  /** Tell a CA elsewhere that a certificate of its is revoked. */
  'ca.revoke': kindOf(Type.Object({ certificateId: Text }), {
    queue: ({ certificateId }) => `ca/${Number.parseInt(certificateId.slice(-2), 16) % 6 || 0}`,
  }),
  /** Take an order of a CA elsewhere as far as it can go now. What does not answer holds up no more than a few slots. */
  'ca.order': kindOf(Type.Object({ orderId: Text }), {
    queue: ({ orderId }) => `ca/${Number.parseInt(orderId.slice(-2), 16) % 6 || 0}`,
  }),
  /** Tell a SIEM what it was not told of the audit trail. */
  'audit.forward': kindOf(Type.Object({ kind: Type.Enum(['webhook', 'syslog']) }), {
    queue: ({ kind }) => `audit-forward/${kind}`,
  }),
  /** Read which certificates the gateways of a cluster hold; this gives way to everything else. */
  'cluster.inventory': kindOf(ClusterKey, {
    queue: ({ clusterId }) => `inventory/${clusterId}`,
    urgency: 'look',
  }),
  /** Look whether a cluster answers, before anything is sent there. */
  'cluster.check': kindOf(ClusterKey, {
    queue: ({ clusterId }) => `check/${clusterId}`,
    urgency: 'check',
  }),
}

/** The key of each kind of due work. */
export type Due = {
  readonly [Kind in keyof typeof kinds]: Readonly<
    NonNullable<ReturnType<(typeof kinds)[Kind]['read']>>
  >
}

const dueKinds: { readonly [Kind in keyof Due]: DueKind<Due[Kind]> } = kinds

/** The kinds of which what is due in a queue is done together (src/jobs/turns.ts). Of what is asked for while
 *  such a job waits, the earliest and most urgent counts, not the last. */
export const togetherTasks = ['placement.push', 'placement.look', 'placement.confirm'] as const

/** On which channel of the database it is told that such work is due. */
export const togetherChannel = 'gatesmith_due'

function isTogether(kind: keyof Due): boolean {
  return togetherTasks.some((each) => each === kind)
}

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

/** A key, with the trace that it belongs to where that is not the one that is open. */
type Asked<Key> = Key & { readonly trace?: Trace | undefined }

/** What is due this soon goes on in the trace in which it was asked for. */
const soonMilliseconds = 30_000

/** How jobs are added. */
type DueOptions = {
  /** When it is due; default: now. */
  readonly at?: Date | null
  readonly lane?: Lane
  readonly urgency?: Urgency
}

/** Adds a job in the transaction of the change that makes it due. Jobs of one key that have not begun
 *  coalesce; `at` (default: now) of the last one counts, and of placements the earliest and most urgent. */
export function due<Kind extends keyof Due>(
  tx: Tx,
  kind: Kind,
  key: Due[Kind],
  at: Date | null = null,
  lane: Lane = 'main',
): Promise<void> {
  return dueMany(tx, kind, [key], { at, lane })
}

/** The same for many keys, by one statement. */
export async function dueMany<Kind extends keyof Due>(
  tx: Tx,
  kind: Kind,
  keys: readonly Asked<Due[Kind]>[],
  options: DueOptions = {},
): Promise<void> {
  // The queue adds nothing when a worker takes the job of a key between two of its statements. That one may
  // have read the state of before, so the job is asked for once more: now as one that runs. In one order,
  // or two who add the same jobs would wait for one another.
  const once = new Map(keys.map((key) => [jobKey(kind, key), key]))
  let left = [...once].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, key]) => key)
  for (let tries = 0; tries < 5 && left.length > 0; tries++) {
    const added = await add(tx, kind, left, options)
    left = left.filter((key) => !added.has(jobKey(kind, key)))
  }
  if (left.length > 0)
    throw new Error(`${kind} cannot be made due: workers take it again and again`)
}

async function add<Kind extends keyof Due>(
  tx: Tx,
  kind: Kind,
  keys: readonly Asked<Due[Kind]>[],
  { at = null, lane = 'main', urgency }: DueOptions,
): Promise<ReadonlySet<string>> {
  const of = dueKinds[kind]
  const priority = priorities[urgency ?? of.urgency]
  const here = traceHere()
  const rows = keys.map((key) => {
    const { trace = here, ...own } = key
    const carried = trace && { trace: isSoon(at) ? trace : { ...trace, later: true } }
    return { name: jobKey(kind, key), queue: of.queueOf(key), key: { ...own, ...carried } }
  })
  const items = sql`${JSON.stringify(rows)}::jsonb`
  const flag = lane === 'slow' ? slowFlag : null
  const added = isTogether(kind)
    ? await tx.$queryRaw<readonly { readonly key: string }[]>(sql`
        select key from due_together(${kind}, ${items}, ${at}::timestamptz, ${priority}::smallint,
          ${flag}::text) as key`)
    : await tx.$queryRaw<readonly { readonly key: string }[]>(sql`
        select key from graphile_worker.add_jobs((
          select array_agg((${kind}, item."key", item."queue", coalesce(${at}::timestamptz, now()),
            25::smallint, item."name", ${priority}::smallint, ${flag === null ? null : [flag]}::text[]
            )::graphile_worker.job_spec order by item."name")
          from jsonb_to_recordset(${items}) as item ("name" text, "queue" text, "key" json)))`)
  return new Set(added.map(({ key }) => key))
}

function isSoon(at: Date | null): boolean {
  return at === null || at.getTime() < Date.now() + soonMilliseconds
}

/** The parts of a job's payload: its key, which nobody has read yet, and the trace that it goes on in; null where
 *  there is none. */
export function givenIn(payload: unknown): { readonly key: unknown; readonly trace: Trace | null } {
  if (!isRecord(payload)) return { key: payload, trace: null }
  const { trace, ...key } = payload
  return { key, trace: conforms(Trace, trace) ? trace : null }
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
