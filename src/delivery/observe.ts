import Type from 'typebox'
import Value from 'typebox/value'
import { isSameObject, type KubeRef, kinds } from '../clusters/kubernetes/kinds.ts'
import { type Kube, KubeError, type KubeObject } from '../clusters/kubernetes/kube.ts'
import { type Destination, destinationsOf, type Route } from '../hosts/route.ts'

/** Those of these objects that are there; each is asked for once. */
export async function observe(
  kube: Kube,
  refs: readonly KubeRef[],
): Promise<readonly KubeObject[]> {
  const once = refs.filter(
    (ref, index) => refs.findIndex((each) => isSameObject(each, ref)) === index,
  )
  const found = await Promise.all(once.map((ref) => kube.get(ref)))
  return found.filter((object) => object !== undefined)
}

const ServiceSpec = Type.Object({
  ports: Type.Array(Type.Object({ port: Type.Integer() })),
})

/** What the routes of a host lead to that is not there: a sentence for each. */
export async function missingBackends(
  kube: Kube,
  routes: readonly Route[],
): Promise<readonly string[]> {
  const found = await Promise.all(
    routes.flatMap(destinationsOf).map((to) => missingBackend(kube, to)),
  )
  return [...new Set(found.filter((sentence) => sentence !== undefined))]
}

async function missingBackend(
  kube: Kube,
  { service: name, namespace, port }: Destination,
): Promise<string | undefined> {
  const service = await orNothing(kube.get({ ...kinds.service, namespace, name }))
  if (service === 'unknown') return undefined
  if (!service) return `There is no Service ${namespace}/${name}: requests to it fail`
  const { spec } = service
  const ports = Value.Check(ServiceSpec, spec) ? spec.ports.map((each) => each.port) : []
  if (ports.includes(port)) return undefined
  return `Service ${namespace}/${name} has no port ${port}, only ${ports.join(', ') || 'none'}`
}

/** Whether Services may be read is no reason to fail: this is advice. */
export async function orNothing<T>(asked: Promise<T>): Promise<T | 'unknown'> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof KubeError && error.fault === 'forbidden') return 'unknown'
    throw error
  }
}
