import type { Ingress } from '../../clusters/cluster.ts'
import { selectorText } from '../../clusters/ingresses.ts'
import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube } from '../../clusters/kubernetes/kube.ts'
import { orNothing } from '../observe.ts'
import { labels, manager } from '../renderer.ts'
import type { Neighbours } from './collisions.ts'

/** What others have put before the same ingress. */
export async function neighboursOf(kube: Kube, ingress: Ingress): Promise<Neighbours> {
  const labelSelector = `${labels.managedBy}!=${manager}`
  const [pods, services, gateways, virtualServices] = await Promise.all([
    kube.list(kinds.pod, {
      namespace: ingress.namespace,
      labelSelector: selectorText(ingress.selector),
    }),
    orNothing(kube.list(kinds.service, { namespace: ingress.namespace })),
    kube.list(kinds.istioGateway, { labelSelector }),
    kube.list(kinds.istioVirtualService, { labelSelector }),
  ])
  const podLabels = pods.map(({ metadata }) => metadata.labels ?? {})
  // Without a pod yet, our own selector says what its labels will be.
  return {
    pods: podLabels.length > 0 ? podLabels : [ingress.selector],
    services: services === 'unknown' ? [] : services,
    gateways,
    virtualServices,
  }
}

type Recent = { readonly found: Promise<Neighbours>; readonly until: number }

/** By connection, as a cluster with other credentials has another one, and by ingress. */
const recent = new WeakMap<Kube, Map<string, Recent>>()
const memoryMilliseconds = 30_000

/** The same as it was at most half a minute ago: many hosts of a cluster are looked at together. */
export function recentNeighbours(kube: Kube, ingress: Ingress): Promise<Neighbours> {
  const byIngress = recent.get(kube) ?? new Map<string, Recent>()
  recent.set(kube, byIngress)
  const key = `${ingress.namespace} ${selectorText(ingress.selector)}`
  const known = byIngress.get(key)
  if (known !== undefined && known.until > performance.now()) return known.found
  const found = neighboursOf(kube, ingress)
  byIngress.set(key, { found, until: performance.now() + memoryMilliseconds })
  found.catch(() => byIngress.delete(key))
  return found
}
