import type { Duplex } from 'node:stream'
import Type from 'typebox'
import type { Kind, KubeRef } from './kinds.ts'

/** Why a cluster did not do what it was asked: `not-found`, the object or its namespace; `unsupported`,
 *  it knows no such kind; `conflict`, another field manager or a newer version; `exists`, it is there, and was to be made; `expired`,
 *  what was asked for by resourceVersion is not kept any more; `invalid`, refused for good; `unavailable`, refused for
 *  now; `unreachable`, no answer at all. */
export type KubeFault =
  | 'not-found'
  | 'unsupported'
  | 'conflict'
  | 'exists'
  | 'expired'
  | 'unauthorized'
  | 'forbidden'
  | 'invalid'
  | 'unavailable'
  | 'unreachable'

/** A field that server-side apply would take from another field manager: `.spec.servers`. */
export type FieldConflict = { readonly manager: string; readonly field: string }

/** An answer of a cluster, or the lack of one. The message is the cluster's, for people to read. */
export class KubeError extends Error {
  readonly fault: KubeFault
  /** What others hold, where that is why. */
  readonly fields: readonly FieldConflict[]

  constructor(
    fault: KubeFault,
    message: string,
    { fields = [], ...options }: ErrorOptions & { readonly fields?: readonly FieldConflict[] } = {},
  ) {
    super(message, options)
    this.name = 'KubeError'
    this.fault = fault
    this.fields = fields
  }
}

/** Whether the cluster is away: what was asked may be right, and can be asked again. */
export function isAway({ fault }: KubeError): boolean {
  return fault === 'unreachable' || fault === 'unavailable'
}

/** The name under which objects are applied. */
export const fieldManager = 'gatesmith'

const Labels = Type.Record(Type.String(), Type.String())

/** Any Kubernetes object. */
export const KubeObject = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  metadata: Type.Object({
    name: Type.String(),
    namespace: Type.Optional(Type.String()),
    labels: Type.Optional(Labels),
    annotations: Type.Optional(Labels),
    resourceVersion: Type.Optional(Type.String()),
    uid: Type.Optional(Type.String()),
  }),
  type: Type.Optional(Type.String()),
  data: Type.Optional(Labels),
  spec: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  status: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type KubeObject = Type.Static<typeof KubeObject>

/** Whether these labels have all of a selector, or annotations all of these. */
export function includesLabels(
  labels: Readonly<Record<string, string>>,
  part: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(part).every(([key, value]) => labels[key] === value)
}

/** What one may be allowed to do on a cluster; no namespace: in all of them; no name: to all objects. A
 *  subresource stands behind its resource: pods/portforward. */
export type Access = {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly namespace?: string
  readonly name?: string
}

/** Which objects of a kind: those of a namespace or of all, and those that labels select. */
export type Where = { readonly namespace?: string; readonly labelSelector?: string }

/** Some objects of a list, and the state of the cluster that the whole list is of. */
export type KubePage = {
  readonly objects: readonly KubeObject[]
  readonly resourceVersion: string
}

/** Something that a watch tells: an object was added, changed or removed (then it is as it last was), or,
 *  without an object, how far the cluster has come. A watch goes on from `resourceVersion`. */
export type WatchEvent = {
  readonly resourceVersion: string
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: KubeObject | undefined
}

/** A cluster as we talk to it. Every method throws KubeError. */
export type Kube = {
  /** The object, or undefined when there is none. Of a kind without namespaces: namespace ''. */
  readonly get: (ref: KubeRef) => Promise<KubeObject | undefined>
  /** All objects that match, page by page. */
  readonly list: (kind: Kind, where?: Where) => Promise<readonly KubeObject[]>
  /** The same, without holding more than a page; throws `expired` where the pages take too long. */
  readonly pages: (kind: Kind, where?: Where) => AsyncIterable<KubePage>
  /** Begins to tell what happens to these objects after `resourceVersion`, until the cluster ends the answer, which it is
   *  asked to do after some minutes. Throws `expired` where that is not known any more, and `unreachable`
   *  when the connection is lost. */
  readonly watch: (
    kind: Kind,
    asked: Where & { readonly resourceVersion: string; readonly signal: AbortSignal },
  ) => Promise<AsyncIterable<WatchEvent>>
  /** Server-side apply as field manager `gatesmith`; answers the warnings of admission. `make`: there is none yet, or it
   *  throws `exists`; else fields that others hold are taken with `force`. */
  readonly apply: (
    object: KubeObject,
    options?: { readonly dryRun?: boolean; readonly force?: boolean; readonly make?: boolean },
  ) => Promise<readonly string[]>
  /** What the cluster would make of the object, and what admission would warn of: a dry run, all of whose
   *  checks are real. */
  readonly rehearse: (
    object: KubeObject,
    options?: { readonly force?: boolean },
  ) => Promise<{ readonly object: KubeObject; readonly warnings: readonly string[] }>
  /** Removes the object; one that is gone already is fine. */
  readonly remove: (ref: KubeRef, options?: { readonly dryRun?: boolean }) => Promise<void>
  /** The cluster's version, such as v1.33.1. */
  readonly version: () => Promise<string>
  /** Whether the credentials allow this (SelfSubjectAccessReview). */
  readonly can: (access: Access) => Promise<boolean>
  /** Whether a service account is allowed this in its own namespace (LocalSubjectAccessReview). */
  readonly mayAccount: (
    account: { readonly namespace: string; readonly name: string },
    access: Access,
  ) => Promise<boolean>
  /** The kinds that a group version has now, by their names (discovery); undefined: it is not served. */
  readonly served: (apiVersion: string) => Promise<readonly string[] | undefined>
  /** A connection to a port inside a pod (pods/portforward), which is the caller's to destroy. */
  readonly forward: (pod: {
    readonly namespace: string
    readonly name: string
    readonly port: number
  }) => Promise<Duplex>
  readonly close: () => void
}
