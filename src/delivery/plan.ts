import { isDeepStrictEqual } from 'node:util'
import {
  isKind,
  isSameObject,
  type Kind,
  type KubeRef,
  kinds,
} from '../clusters/kubernetes/kinds.ts'
import { includesLabels, type KubeObject } from '../clusters/kubernetes/kube.ts'
import { isApplied, ownKeys } from './drift/managers.ts'
import { labels, manager } from './renderer.ts'

/** What is to be done about one object. */
export type Step = {
  readonly action: 'create' | 'update' | 'keep' | 'remove'
  readonly ref: KubeRef
  /** What it shall be; none when it is to go. */
  readonly object: KubeObject | undefined
}

/** What is wanted of a host on a cluster beside what is there. */
export type Comparison = {
  readonly hostId: string
  /** The kinds of these objects, in the order in which they may appear. */
  readonly order: readonly Kind[]
  /** In the order in which they may appear; none when the host is to go. */
  readonly desired: readonly KubeObject[]
  /** Every object under a name that is desired, or that once carried the host. */
  readonly observed: readonly KubeObject[]
  /** The objects that are recorded to carry the host. */
  readonly recorded?: readonly KubeRef[]
}

/** The steps in an order in which nothing refers to what is not there: up as desired, then down in reverse.
 *  An object of others is never touched: see `foreignObjects`. */
export function plan(comparison: Comparison): readonly Step[] {
  const { order, desired, observed } = comparison
  const up = desired.map((object) => {
    const ref = refOf(object)
    const there = objectOf(observed, ref)
    const action = !there ? 'create' : matches(object, there) ? 'keep' : 'update'
    return { action, ref, object } as const
  })
  const wanted = desired.map(refOf)
  const place = (ref: KubeRef) => order.findIndex((kind) => isKind(kind, ref))
  const down = observed
    .filter((object) => isOurs(object, comparison))
    .map(refOf)
    .filter((ref) => !wanted.some((each) => isSameObject(each, ref)))
    .toSorted((a, b) => place(b) - place(a))
    .map((ref) => ({ action: 'remove', ref, object: undefined }) as const)
  return [...up, ...down]
}

/** The objects that stand under our names and are not this host's: taking them over must be somebody's
 *  decision, so nothing is done while they are there. */
export function foreignObjects(comparison: Omit<Comparison, 'order'>): readonly string[] {
  const { desired, observed } = comparison
  const wanted = desired.map(refOf)
  return observed
    .filter((object) => !isOurs(object, comparison))
    .filter((object) => wanted.some((ref) => isSameObject(ref, refOf(object))))
    .map(takenName)
}

/** Says that an object stands under a name of ours and is of somebody else. */
export function takenName(object: KubeObject): string {
  const what = nameOf(refOf(object))
  return `${what} exists and was not made for this host; remove it, or ask for another name`
}

/** Whether the object bears our labels for this host; or is one that we have made and recorded, from which
 *  somebody has taken them. One that another installation has labelled is its own. */
export function isOurs(
  object: KubeObject,
  { hostId, recorded = [] }: Pick<Comparison, 'hostId' | 'recorded'>,
): boolean {
  const { labels: found = {} } = object.metadata
  if (found[labels.managedBy] === manager && found[labels.hostId] === hostId) return true
  if (!recorded.some((ref) => isSameObject(ref, refOf(object)))) return false
  return isApplied(object) && ownKeys(object, 'labels')?.has(labels.hostId) !== true
}

/** `Gateway istio-system/www-0badcafe`. */
export function nameOf({ kind, namespace, name }: KubeRef): string {
  return `${kind} ${namespace}/${name}`
}

/** Which object this is. */
export function refOf({ apiVersion, kind, metadata }: KubeObject): KubeRef {
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name }
}

/** The one of these objects that this is a reference to, if it is there. */
export function objectOf(objects: readonly KubeObject[], ref: KubeRef): KubeObject | undefined {
  return objects.find((each) => isSameObject(refOf(each), ref))
}

/** Whether it has a key and a certificate: all else only says how to serve with them. */
export function isSecret(kind: Kind): boolean {
  return [kinds.secret, kinds.configMap].some((each) => isKind(each, kind))
}

/** Whether the observed object is as desired: all that we state, and in spec and data nothing else.
 *  Others may add labels and annotations. */
export function matches(desired: KubeObject, observed: KubeObject): boolean {
  return (
    isDeepStrictEqual(desired.spec, observed.spec) &&
    isDeepStrictEqual(desired.data, observed.data) &&
    desired.type === observed.type &&
    includesLabels(observed.metadata.labels ?? {}, desired.metadata.labels ?? {}) &&
    includesLabels(observed.metadata.annotations ?? {}, desired.metadata.annotations ?? {})
  )
}
