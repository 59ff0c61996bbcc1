import { setTimeout as wait } from 'node:timers/promises'
import Type from 'typebox'
import type { Ingress } from '../../clusters/cluster.ts'
import { selectorText } from '../../clusters/ingresses.ts'
import { askForAll } from '../../clusters/kubernetes/errand.ts'
import { type Kind, kinds } from '../../clusters/kubernetes/kinds.ts'
import { type Kube, KubeError, type KubeObject } from '../../clusters/kubernetes/kube.ts'
import { oncePer } from '../../core/onceper.ts'
import { conforms } from '../../shared/shape.ts'
import { orNothing } from '../observe.ts'
import { labels, manager } from '../renderer.ts'
import type { Neighbours } from './collisions.ts'
import { converted, otherKinds } from './others.ts'

/** What others have put before the same ingress. */
async function neighboursOf(kube: Kube, ingress: Ingress): Promise<Neighbours> {
  const labelSelector = `${labels.managedBy}!=${manager}`
  const [pods, services, gateways, virtualServices, ...others] = await Promise.all([
    kube.list(kinds.pod, {
      namespace: ingress.namespace,
      labelSelector: selectorText(ingress.selector),
    }),
    orNothing(kube.list(kinds.service, { namespace: ingress.namespace })),
    kube.list(kinds.istioGateway, { labelSelector }),
    kube.list(kinds.istioVirtualService, { labelSelector }),
    ...Object.values(otherKinds).map((kind) => listed(kube, kind, labelSelector)),
  ])
  const podLabels = pods.map(({ metadata }) => metadata.labels ?? {})
  const world = {
    namespace: ingress.namespace,
    // Without a pod yet, our own selector says what its labels will be.
    pods: podLabels.length > 0 ? podLabels : [ingress.selector],
    services: services === 'unknown' ? [] : services,
    ...{ gateways, virtualServices },
  }
  const more = converted(others.flat(), world)
  return {
    ...world,
    gateways: [...gateways, ...more.gateways],
    virtualServices: [...virtualServices, ...more.virtualServices],
    addresses: pods.flatMap(addressesOf),
  }
}

/** Kinds that a cluster does not serve, or does not let us read, and until when they are not asked for again. */
const lackingOn = oncePer((_: Kube) => new Map<string, number>())
const lackingMilliseconds = 600_000

/** All of a kind that not every cluster has, and that may be read where that is allowed. */
async function listed(
  kube: Kube,
  kind: Kind,
  labelSelector: string,
): Promise<readonly KubeObject[]> {
  const known = lackingOn(kube)
  if ((known.get(kind.kind) ?? 0) > performance.now()) return []
  try {
    return await kube.list(kind, { labelSelector })
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    if (error.fault !== 'forbidden' && error.fault !== 'unsupported') throw error
    known.set(kind.kind, performance.now() + lackingMilliseconds)
    return []
  }
}

const PodStatus = Type.Object({
  podIP: Type.Optional(Type.String()),
  podIPs: Type.Optional(Type.Array(Type.Object({ ip: Type.String() }))),
})

function addressesOf({ status }: KubeObject): readonly string[] {
  if (!conforms(PodStatus, status)) return []
  const { podIP, podIPs = [] } = status
  return [...(podIP === undefined ? [] : [podIP]), ...podIPs.map(({ ip }) => ip)]
}

/** What was begun last: it has ended, and what is read next may begin. */
type Turn = { readonly ended: Promise<unknown>; next?: Promise<Neighbours> }

const turnsOf = oncePer((_: Kube) => new Map<string, Turn>())
/** Where many hosts are brought, it is read so often: as much is listed each time as a host or two have objects. */
const readMilliseconds = 100

/** What others have put before the same ingress, read from now on: of those who ask while it is being read, and shortly
 *  after, all get what is read next, once for all of them. */
export function freshNeighbours(kube: Kube, ingress: Ingress): Promise<Neighbours> {
  const byIngress = turnsOf(kube)
  const key = keyOf(ingress)
  const last = byIngress.get(key)
  if (last) {
    last.next ??= last.ended.then(read)
    return last.next
  }
  return read()

  function read(): Promise<Neighbours> {
    const now = askForAll(() => neighboursOf(kube, ingress))
    const turn: Turn = { ended: Promise.allSettled([now, wait(readMilliseconds)]) }
    byIngress.set(key, turn)
    turn.ended.then(() => {
      if (!turn.next) byIngress.delete(key)
    })
    return now
  }
}

function keyOf({ namespace, selector }: Ingress): string {
  return `${namespace} ${selectorText(selector)}`
}

type Recent = { readonly found: Promise<Neighbours>; readonly at: number; readonly until: number }

/** By connection, as a cluster with other credentials has another one, and by ingress. */
const recentOf = oncePer((_: Kube) => new Map<string, Recent>())
const memoryMilliseconds = 30_000

/** The same as it was at most half a minute ago, and not before `since`: many hosts of a cluster are looked at
 *  together. */
export function recentNeighbours(
  kube: Kube,
  ingress: Ingress,
  since: Date | null = null,
): Promise<Neighbours> {
  const byIngress = recentOf(kube)
  const key = keyOf(ingress)
  const known = byIngress.get(key)
  const [now, today] = [performance.now(), performance.timeOrigin + performance.now()]
  const isFresh = known !== undefined && known.until > now
  if (isFresh && (since === null || known.at > since.getTime())) return known.found
  const found = freshNeighbours(kube, ingress)
  byIngress.set(key, { found, at: today, until: now + memoryMilliseconds })
  found.catch(() => byIngress.delete(key))
  return found
}
