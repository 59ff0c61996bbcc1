import { isDeepStrictEqual } from 'node:util'
import Type from 'typebox'
import Value from 'typebox/value'
import { selectorText } from '../clusters/check.ts'
import type { Ingress } from '../clusters/cluster.ts'
import { type Kube, KubeError, type KubeObject, type KubeRef } from '../clusters/kubernetes/kube.ts'
import type { Route } from '../hosts/host.ts'
import type { Neighbours } from './istio/collisions.ts'
import { labels, manager } from './istio/manifests.ts'

/** Those of these objects that are there; each is asked for once. */
export async function observe(
  kube: Kube,
  refs: readonly KubeRef[],
): Promise<readonly KubeObject[]> {
  const once = refs.filter(
    (ref, index) => refs.findIndex((each) => isDeepStrictEqual(each, ref)) === index,
  )
  const found = await Promise.all(once.map((ref) => kube.get(ref)))
  return found.filter((object) => object !== undefined)
}

/** What others have put before the same ingress. */
export async function neighboursOf(kube: Kube, ingress: Ingress): Promise<Neighbours> {
  const labelSelector = `${labels.managedBy}!=${manager}`
  const [pods, services, gateways, virtualServices] = await Promise.all([
    kube.list('Pod', {
      namespace: ingress.namespace,
      labelSelector: selectorText(ingress.selector),
    }),
    orNothing(kube.list('Service', { namespace: ingress.namespace })),
    kube.list('Gateway', { labelSelector }),
    kube.list('VirtualService', { labelSelector }),
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

/** By connection: a cluster with other credentials has another one. */
const recent = new WeakMap<Kube, Recent>()
const memoryMilliseconds = 30_000

/** The same as it was at most half a minute ago: many hosts of a cluster are looked at together. */
export function recentNeighbours(kube: Kube, ingress: Ingress): Promise<Neighbours> {
  const known = recent.get(kube)
  if (known !== undefined && known.until > performance.now()) return known.found
  const found = neighboursOf(kube, ingress)
  recent.set(kube, { found, until: performance.now() + memoryMilliseconds })
  found.catch(() => recent.delete(kube))
  return found
}

const ServiceSpec = Type.Object({
  ports: Type.Array(Type.Object({ port: Type.Integer() })),
})

/** What the routes of a host lead to that is not there: a sentence for each. */
export async function missingBackends(
  kube: Kube,
  routes: readonly Route[],
): Promise<readonly string[]> {
  const found = await Promise.all(routes.map(({ to }) => missingBackend(kube, to)))
  return [...new Set(found.filter((sentence) => sentence !== undefined))]
}

async function missingBackend(
  kube: Kube,
  { service: name, namespace, port }: Route['to'],
): Promise<string | undefined> {
  const service = await orNothing(kube.get({ kind: 'Service', namespace, name }))
  if (service === 'unknown') return undefined
  if (!service) return `There is no Service ${namespace}/${name}: requests to it fail`
  const { spec } = service
  const ports = Value.Check(ServiceSpec, spec) ? spec.ports.map((each) => each.port) : []
  if (ports.includes(port)) return undefined
  return `Service ${namespace}/${name} has no port ${port}, only ${ports.join(', ') || 'none'}`
}

/** Whether Services may be read is no reason to fail: this is advice. */
async function orNothing<T>(asked: Promise<T>): Promise<T | 'unknown'> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof KubeError && error.fault === 'forbidden') return 'unknown'
    throw error
  }
}
