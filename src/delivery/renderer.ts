import type { ServedChallenge } from '../certificates/elsewhere/challenges.ts'
import type { NamedIngress } from '../clusters/cluster.ts'
import type { Kind } from '../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../clusters/kubernetes/kube.ts'
import type { CompleteSpec } from '../hosts/host.ts'

/** Everything that a host's objects are made of. */
export type DesiredHost = {
  readonly host: {
    readonly id: string
    readonly name: string
    readonly tenant: string
    readonly generation: number
    readonly spec: CompleteSpec
  }
  readonly ingress: NamedIngress
  /** None yet: nothing is served but challenges. */
  readonly certificate?: Pair
  /** What port 80 answers to a CA elsewhere that looks whether the names are ours (RFC 8555 8.3). */
  readonly challenges?: readonly ServedChallenge[]
  /** MUTUAL only: whose client certificates are accepted, PEM; what they have revoked; and the
   *  alternative name that they must bear, if not all are accepted. */
  readonly clients?: {
    readonly trust: string
    readonly crl?: string
    readonly subjectAltName?: string
  }
  /** What the gateway shows to backends that ask for a certificate, by the ids that the routes name. */
  readonly backendClients?: ReadonlyMap<string, Pair>
}

/** A certificate and its key as a Secret carries them. */
export type Pair = {
  readonly serial: string
  /** PEM: the leaf, then its issuers, without the root. */
  readonly chain: string
  /** PEM, PKCS#8. */
  readonly key: string
}

/** Which objects are ours, for label selectors. */
export const labels = {
  managedBy: 'app.kubernetes.io/managed-by',
  tenant: 'gatesmith.dev/tenant',
  hostId: 'gatesmith.dev/host-id',
} as const
export const manager = 'gatesmith'

/** What others have put beside a host. */
export type Collision = {
  /** A sentence that names the object. */
  readonly message: string
  /** Nothing of the host's configuration is to be pushed while it is there. */
  readonly blocks: boolean
  /** The host is not served as asked for, whatever a handshake tells. */
  readonly wins: boolean
}

/** How hosts become objects of an ingress. All else of delivery knows an ingress only by this. */
export type Renderer = {
  /** The kinds of its objects, in the order in which they may appear: none refers to a later one. */
  readonly kinds: readonly Kind[]
  /** The kinds of which those of others decide who is served. */
  readonly neighbours: readonly Kind[]
  /** The objects of a host, in that order. */
  readonly manifests: (delivery: DesiredHost) => readonly KubeObject[]
  /** Why a host can be served no longer as it stands: its manifests are those with which nobody is. */
  readonly unable?: (delivery: DesiredHost) => string | undefined
  /** What others have before the ingress that is in the way of a host. `observed`: what is there of the
   *  host. What they have may be known from at most half a minute ago when `recent` will do. */
  readonly collisions: (kube: Kube, question: CollisionQuestion) => Promise<readonly Collision[]>
  /** What keeps the ingress from taking new configuration, of ours and of others together. */
  readonly refusals: (kube: Kube, ingress: NamedIngress) => Promise<readonly Refusal[]>
  /** Why those of a host's objects are not taken up that say so themselves, in sentences: `observed` is what
   *  is there of the host. None where objects tell nothing. */
  readonly faults?: (observed: readonly KubeObject[]) => readonly string[]
  /** Of each host whether one of these objects of others is in its way. */
  readonly touched: (kube: Kube, question: TouchedQuestion) => Promise<readonly boolean[]>
}

/** Two that keep an ingress from taking any new configuration of a port. */
export type Refusal = {
  readonly port: number
  /** What keeps it, in a sentence that names the objects. */
  readonly message: string
  /** Since when that is so, as far as the objects tell. */
  readonly since: string
}

export type TouchedQuestion = {
  readonly ingress: NamedIngress
  readonly objects: readonly KubeObject[]
  readonly hosts: readonly Pick<DesiredHost['host'], 'name' | 'spec'>[]
}

export type CollisionQuestion = {
  readonly delivery: DesiredHost
  readonly observed: readonly KubeObject[]
  readonly recent: boolean
  /** When others were last seen to change something: what is older will not do. */
  readonly since?: Date | null
}
