import { isUrgent, seenSince } from '../clusters/kubernetes/errand.ts'
import { type Kube, KubeError, type KubeObject } from '../clusters/kubernetes/kube.ts'
import { oncePer } from '../core/onceper.ts'
import { digestOf } from './drift/digest.ts'
import { creationOf, madeAt } from './istio/merge.ts'
import { labels, manager } from './renderer.ts'

/** So many that are looked for at one moment are listed; fewer are asked for one by one. */
const listedFrom = 12
/** How long a list is remembered, and that a list may not be had. */
const memoryMilliseconds = { list: 60_000, refusal: 600_000 } as const

/** Of what bears our label of a kind in a namespace what it says, in few characters, and since when it is there. */
type Snapshot = {
  readonly begun: number
  readonly found: Promise<ReadonlyMap<string, { readonly digest: string; readonly made: string }>>
}

type Waiting = {
  readonly since: number
  readonly resolve: (snapshot: Snapshot | undefined) => void
}

type Source = {
  snapshot: Snapshot | undefined
  refusedUntil: number
  waiting: Waiting[]
}

const sourcesOn = oncePer((_: Kube) => new Map<string, Source>())

/** The object as it is on the cluster, if it is there as it is wanted, for one that is most likely so: when many
 *  are looked for at one moment, all that are ours are listed once, and what is seen serves whoever became due
 *  before. Undefined: it differs, or has to be asked for by itself. */
export async function asWanted(kube: Kube, object: KubeObject): Promise<KubeObject | undefined> {
  const snapshot = await snapshotFor(kube, object)
  if (!snapshot) return undefined
  // What went wrong will be told by whoever asks for the object itself.
  const found = await snapshot.found.catch(() => undefined)
  const seen = found?.get(object.metadata.name)
  return seen?.digest === digestOf(object) ? madeAt(object, seen.made) : undefined
}

function snapshotFor(kube: Kube, object: KubeObject): Promise<Snapshot | undefined> {
  // A list of thousands takes longer than the few objects of what is urgent.
  if (isUrgent()) return Promise.resolve(undefined)
  const source = sourceOf(kube, object)
  const since = seenSince()
  const { snapshot } = source
  if (snapshot && snapshot.begun >= since) return Promise.resolve(snapshot)
  if (source.refusedUntil > performance.now()) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    if (source.waiting.length === 0) setImmediate(() => answer(kube, source, object))
    source.waiting.push({ since, resolve })
  })
}

function sourceOf(kube: Kube, { apiVersion, kind, metadata }: KubeObject): Source {
  const sources = sourcesOn(kube)
  const name = `${apiVersion} ${kind} ${metadata.namespace}`
  const known = sources.get(name) ?? { snapshot: undefined, refusedUntil: 0, waiting: [] }
  sources.set(name, known)
  return known
}

function answer(kube: Kube, source: Source, like: KubeObject): void {
  const waiting = source.waiting
  source.waiting = []
  const snapshot = waiting.length < listedFrom ? undefined : begin(kube, source, like)
  for (const { resolve } of waiting) resolve(snapshot)
}

function begin(kube: Kube, source: Source, like: KubeObject): Snapshot {
  const snapshot = { begun: performance.now(), found: listed(kube, like) }
  source.snapshot = snapshot
  const forget = () => {
    if (source.snapshot === snapshot) source.snapshot = undefined
  }
  setTimeout(forget, memoryMilliseconds.list).unref()
  snapshot.found.catch((error: unknown) => {
    forget()
    const refused = error instanceof KubeError && error.fault === 'forbidden'
    if (refused) source.refusedUntil = performance.now() + memoryMilliseconds.refusal
  })
  return snapshot
}

async function listed(kube: Kube, { apiVersion, kind, metadata: { namespace = '' } }: KubeObject) {
  const found = new Map<string, { readonly digest: string; readonly made: string }>()
  const labelSelector = `${labels.managedBy}=${manager}`
  for await (const { objects } of kube.pages({ apiVersion, kind }, { namespace, labelSelector })) {
    for (const object of objects) {
      found.set(object.metadata.name, { digest: digestOf(object), made: creationOf(object) })
    }
  }
  return found
}
