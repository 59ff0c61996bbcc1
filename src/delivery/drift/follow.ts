import { setTimeout as wait } from 'node:timers/promises'
import type { Watched } from '../../clusters/cluster.ts'
import { allIngressesOf } from '../../clusters/find.ts'
import { isKind, type Kind, type KubeRef, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../../clusters/kubernetes/kube.ts'
import { openCluster } from '../../clusters/kubernetes/open.ts'
import {
  type Mode,
  type Pace,
  reflect,
  type Sink,
  type Source,
} from '../../clusters/kubernetes/reflector.ts'
import type { Context } from '../../core/context.ts'
import { json } from '../../core/database/db.ts'
import { isOursNow } from '../apply.ts'
import { rendererOf } from '../compare.ts'
import { isSecret, nameOf, refOf } from '../plan.ts'
import { labels, manager } from '../renderer.ts'
import { digestOf } from './digest.ts'
import { othersChanged } from './others.ts'
import {
  type Carried,
  carriedAmong,
  carriedOf,
  placesOf,
  reconcileDue,
  repairDue,
  targetsAmong,
  targetsIn,
} from './recorded.ts'

/** How soon it is noticed that there are Secrets of ours in another namespace. */
const sourcesMilliseconds = 10_000
/** What happens at one moment is looked up together: so long, and so many. */
const gatherMilliseconds = { ours: 25, others: 500 } as const
const gatherLimit = 500
/** Objects of others of which it is remembered, by kind, in which version they were seen. */
const memoryLimit = 20_000
const orphanLimit = 20

/** What was last seen of an object. */
type Seen = {
  readonly ref: KubeRef
  /** null: it is gone. */
  readonly digest: string | null
  /** The object itself, where it is not ours and may be in our way. */
  readonly other: KubeObject | undefined
  /** The labels say that it is ours. */
  readonly labelled: boolean
}

/** Follows what is on a cluster until `signal`: what somebody changed or removed of ours is due at once, and
 *  so are the hosts that something of others is in the way of. Only what is recorded counts as ours, read
 *  again after each event: an object that is as we want it by now is not drift. Throws when the database
 *  cannot be asked; whoever follows then begins anew and compares all. */
export async function followCluster(
  ctx: Context,
  clusterId: string,
  { signal, pace }: { readonly signal: AbortSignal; readonly pace?: Pace },
): Promise<void> {
  const kube = await openCluster(ctx, clusterId)
  const state = stateOf(ctx, clusterId)
  const failure = new AbortController()
  const over = AbortSignal.any([signal, failure.signal])
  const fail = (error: unknown) => failure.abort(error)
  const running = new Map<
    string,
    { readonly controller: AbortController; readonly ended: Promise<void> }
  >()
  const others = openFlow(gatherMilliseconds.others, fail, (seen) =>
    othersChanged(ctx, clusterId, seen),
  )
  const flow = openFlow(gatherMilliseconds.ours, fail, async (seen) => {
    for (const each of await look(ctx, clusterId, seen)) await others.put(each)
  })

  function begin(key: string, source: Source): void {
    const controller = new AbortController()
    const sink = sinkOf({ ctx, kube, clusterId, key, source, state, flow })
    const ended = reflect(kube, source, sink, {
      signal: controller.signal,
      ...(pace ? { pace } : {}),
    })
    running.set(key, { controller, ended })
  }

  try {
    while (!over.aborted) {
      const wanted = await sourcesOf(ctx, clusterId)
      for (const [key, { controller }] of running) {
        if (wanted.has(key)) continue
        controller.abort()
        running.delete(key)
        state.forget(key)
      }
      for (const [key, source] of wanted) if (!running.has(key)) begin(key, source)
      await wait(sourcesMilliseconds, undefined, { signal: over }).catch(() => undefined)
    }
    if (failure.signal.aborted) throw failure.signal.reason
  } finally {
    for (const { controller } of running.values()) controller.abort()
    for (const each of [flow, others]) each.close()
    await Promise.all([...running.values()].map(({ ended }) => ended))
  }
}

/** What is followed. Of the kinds of which those of others matter, all; of the others only what bears our
 *  label, where we have some: Secrets of others are none of our business. */
async function sourcesOf(ctx: Context, clusterId: string): Promise<ReadonlyMap<string, Source>> {
  const row = await ctx.db.read.cluster.findUnique({ where: { id: clusterId } })
  if (!row) return new Map()
  const ingresses = Object.values(allIngressesOf(row)).map(({ namespace }) => namespace)
  const places = await placesOf(ctx, clusterId)
  const labelSelector = `${labels.managedBy}=${manager}`
  const { kinds: own, neighbours } = rendererOf(row)
  const further = neighbours.filter((kind) => !own.some((each) => isKind(each, kind)))
  const sources = [...own, ...further].flatMap((kind): readonly Source[] => {
    if (neighbours.some((each) => isKind(each, kind))) return [{ kind }]
    const some = places.filter((each) => each.kind === kind.kind).map(({ namespace }) => namespace)
    const namespaces = new Set([...(isKeyPair(kind) ? ingresses : []), ...some])
    return [...namespaces].map((namespace) => ({ kind, namespace, labelSelector }))
  })
  return new Map(sources.map((source) => [sourceKey(source), source]))
}

function sourceKey({ kind, namespace = '' }: Source): string {
  return `${kind.apiVersion} ${kind.kind} ${namespace}`
}

function isKeyPair(kind: Kind): boolean {
  return isKind(kind, kinds.secret)
}

/** Of a kind of which those of others matter all are followed, and of the others what bears our label. */
function isOfAll({ labelSelector }: Source): boolean {
  return labelSelector === undefined
}

/** How each source is followed, and what was found there that belongs to nobody: told with the cluster when
 *  it changes. */
function stateOf(ctx: Context, clusterId: string) {
  const modes = new Map<string, { readonly mode: Mode; readonly why: string | null }>()
  const orphans = new Map<string, readonly string[]>()
  let told = ''
  let telling: Promise<void> = Promise.resolve()

  function summary(): Omit<Watched, 'at'> {
    const rank = ['watching', 'listing', 'blind']
    const worst = [...modes.values()].toSorted(
      (a, b) => rank.indexOf(b.mode) - rank.indexOf(a.mode),
    )
    const [{ mode, why } = { mode: 'blind', why: null } as const] = worst
    const found = [...new Set([...orphans.values()].flat())].sort().slice(0, orphanLimit)
    return { mode, message: why?.slice(0, 2000) ?? null, orphans: found }
  }

  async function tell(): Promise<void> {
    const now = summary()
    if (told === JSON.stringify(now)) return
    told = JSON.stringify(now)
    const watch = json({ ...now, at: ctx.now().toISOString() })
    await ctx.db.transaction((tx) =>
      tx.cluster.updateMany({ where: { id: clusterId }, data: { watch } }),
    )
    if (now.orphans.length > 0) {
      ctx.log.warn(
        { clusterId, orphans: now.orphans },
        'objects with our labels belong to no host here; they are left alone',
      )
    }
  }

  function changed(): void {
    telling = telling.then(tell).catch((error: unknown) => {
      told = ''
      ctx.log.warn({ clusterId, err: error }, 'how the cluster is followed could not be stored')
    })
  }

  return {
    mode(key: string, mode: Mode, why: string | null): void {
      const before = modes.get(key)
      if (before?.mode === mode && before.why === why) return
      modes.set(key, { mode, why })
      changed()
    },
    orphans(key: string, found: readonly string[]): void {
      orphans.set(key, found)
      changed()
    },
    forget(key: string): void {
      modes.delete(key)
      orphans.delete(key)
      changed()
    },
  }
}

type State = ReturnType<typeof stateOf>

/** Gathers what is seen at one moment, the latest of each object, and hands it on together. */
function openFlow(
  milliseconds: number,
  fail: (error: unknown) => void,
  take: (seen: readonly Seen[]) => Promise<void>,
) {
  let pending = new Map<string, Seen>()
  let flushing: Promise<void> | undefined
  let closed = false

  async function flush(): Promise<void> {
    await wait(milliseconds)
    while (pending.size > 0 && !closed) {
      const now = [...pending.values()]
      pending = new Map()
      await take(now)
    }
    flushing = undefined
  }

  return {
    /** Waits only where too much is pending. */
    async put(seen: Seen): Promise<void> {
      pending.set(keyOf(seen.ref), seen)
      flushing ??= flush().catch(fail)
      if (pending.size >= gatherLimit) await flushing
    },
    close(): void {
      closed = true
    },
  }
}

type Flow = ReturnType<typeof openFlow>

function keyOf({ kind, namespace, name }: Pick<KubeRef, 'kind' | 'namespace' | 'name'>): string {
  return `${kind} ${namespace}/${name}`
}

function sinkOf({
  ctx,
  kube,
  clusterId,
  key,
  source,
  state,
  flow,
}: {
  readonly ctx: Context
  readonly kube: Kube
  readonly clusterId: string
  readonly key: string
  readonly source: Source
  readonly state: State
  readonly flow: Flow
}): Sink {
  const neighbour = isOfAll(source)
  /** What others have, and in which version it was seen. */
  let known = new Map<string, string>()

  async function listed(pages: AsyncIterable<readonly KubeObject[]>): Promise<void> {
    const { kind } = source.kind
    const carried = await carriedOf(ctx, clusterId, { kind, namespace: source.namespace })
    const missing = new Map(carried.map((each) => [keyOf(each), each]))
    const others = new Map<string, string>()
    const suspects: Seen[] = []
    const strays: Seen[] = []
    const there = new Set<string>()
    for await (const page of pages) {
      for (const object of page) {
        const seen = seenOf(object, neighbour)
        const each = keyOf(seen.ref)
        if (!neighbour) there.add(seen.ref.name)
        const before = missing.get(each)
        missing.delete(each)
        if (before) {
          if (before.digest !== null && before.digest !== seen.digest) suspects.push(seen)
        } else if (seen.labelled) {
          if (strays.length < memoryLimit) strays.push(seen)
        } else if (neighbour) {
          const version = object.metadata.resourceVersion ?? ''
          if (others.size < memoryLimit) others.set(each, version)
          if (known.get(each) !== version) await flow.put(seen)
        }
      }
    }
    for (const each of known.keys()) {
      if (!others.has(each)) await flow.put(goneOf(source.kind, each))
    }
    known = others
    for (const { namespace, name, applied } of missing.values()) {
      if (applied) suspects.push(goneOf(source.kind, keyOf({ kind, namespace, name })))
    }
    const { namespace } = source
    if (isKeyPair(source.kind) && namespace !== undefined) {
      const targets = await targetsIn(ctx, clusterId, namespace)
      const lost = targets.filter(({ name }) => !there.has(name))
      suspects.push(...lost.map(({ name }) => goneOf(source.kind, `Secret ${namespace}/${name}`)))
    }
    for (const seen of suspects) await flow.put(seen)
    state.orphans(key, await orphansAmong(ctx, clusterId, strays))
  }

  return {
    listed,
    changed: async (object, gone) => {
      const seen = seenOf(object, neighbour)
      const each = keyOf(seen.ref)
      if (gone) known.delete(each)
      else if (seen.other && known.size < memoryLimit) {
        known.set(each, object.metadata.resourceVersion ?? '')
      }
      if (!gone && seen.digest !== null && isOursNow(kube, seen.ref, seen.digest)) return
      await flow.put(gone ? { ...seen, digest: null, other: undefined } : seen)
    },
    mode: (mode, why) => state.mode(key, mode, why),
    failed: (error) =>
      ctx.log.info({ clusterId, source: key, err: error }, 'a watch is begun anew'),
  }
}

function seenOf(object: KubeObject, neighbour: boolean): Seen {
  const { labels: found = {} } = object.metadata
  const labelled = found[labels.managedBy] === manager && found[labels.hostId] !== undefined
  const other = neighbour && !labelled ? object : undefined
  return { ref: refOf(object), digest: digestOf(object), other, labelled }
}

function goneOf({ apiVersion }: Kind, key: string): Seen {
  const [kind = '', place = ''] = key.split(' ')
  const [namespace = '', name = ''] = place.split('/')
  const ref = { apiVersion, kind, namespace, name }
  return { ref, digest: null, other: undefined, labelled: false }
}

/** Has what others changed or removed of ours put right; answers what of the rest may be in the way of ours. */
async function look(
  ctx: Context,
  clusterId: string,
  seen: readonly Seen[],
): Promise<readonly Seen[]> {
  const carried = await carriedAmong(
    ctx,
    clusterId,
    seen.map(({ ref }) => ref),
  )
  const byKey = new Map(carried.map((each) => [keyOf(each), each]))
  const drifted = seen.flatMap(({ ref, digest }) => {
    const recorded = byKey.get(keyOf(ref))
    return recorded && isDrift(recorded, digest) ? [recorded.placementId] : []
  })
  await repairDue(ctx, clusterId, drifted)
  // What is in such a Secret is known to whoever looks at it alone; our own hand is seen there to be idle.
  const plain = seen.filter(({ ref }) => isKeyPair(ref) && !byKey.has(keyOf(ref)))
  const targets = await targetsAmong(
    ctx,
    clusterId,
    plain.map(({ ref }) => ref),
  )
  await reconcileDue(ctx, clusterId, targets)
  return seen.filter(({ ref, other, digest, labelled }) => {
    const isOthers = other !== undefined || (digest === null && !labelled)
    return isOthers && !isSecret(ref) && !byKey.has(keyOf(ref))
  })
}

/** One that is about to be applied may not be there yet. */
function isDrift({ digest, applied, wanted }: Carried, seen: string | null): boolean {
  if (!wanted || digest === null) return false
  return seen === null ? applied === true : seen !== digest
}

/** What bears our labels and belongs to no host: another installation's, perhaps, so it is only told of. */
async function orphansAmong(
  ctx: Context,
  clusterId: string,
  strays: readonly Seen[],
): Promise<readonly string[]> {
  const carried = await carriedAmong(
    ctx,
    clusterId,
    strays.map(({ ref }) => ref),
  )
  const recorded = new Set(carried.map(keyOf))
  return strays
    .filter(({ ref }) => !recorded.has(keyOf(ref)))
    .map(({ ref }) => nameOf(ref))
    .slice(0, orphanLimit)
}
