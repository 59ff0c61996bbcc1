import Type from 'typebox'
import { askForAll } from '../clusters/kubernetes/errand.ts'
import { isSameObject, type KubeRef, kinds } from '../clusters/kubernetes/kinds.ts'
import { type Kube, KubeError, type KubeObject } from '../clusters/kubernetes/kube.ts'
import { oncePer } from '../core/onceper.ts'
import type { Condition } from '../hosts/host.ts'
import { type Destination, destinationsOf, type Route } from '../hosts/route.ts'
import { conforms } from '../shared/shape.ts'
import { objectOf } from './plan.ts'
import { asWanted } from './snapshot.ts'

/** Those of these objects that are there; each is asked for once. `likely` are most likely there as they stand. */
export async function observe(
  kube: Kube,
  refs: readonly KubeRef[],
  likely: readonly KubeObject[] = [],
): Promise<readonly KubeObject[]> {
  const once = refs.filter(
    (ref, index) => refs.findIndex((each) => isSameObject(each, ref)) === index,
  )
  const found = await Promise.all(
    once.map(async (ref) => {
      const object = objectOf(likely, ref)
      return (object && (await asWanted(kube, object))) ?? kube.get(ref)
    }),
  )
  return found.filter((object) => object !== undefined)
}

const ServiceSpec = Type.Object({
  ports: Type.Array(Type.Object({ port: Type.Integer(), name: Type.Optional(Type.String()) })),
})

/** A condition as it is seen now; since when is said by what was seen before. */
export type Seen = Pick<Condition, 'type' | 'status' | 'message'>

/** Whether the Services and ports that routes lead to are there. */
export async function backendsFound(kube: Kube, routes: readonly Route[]): Promise<Seen> {
  const found = await backendsOf(kube, routes)
  const missing = sentences(found)
  const type = 'BackendsFound'
  if (missing.length > 0)
    return { type, status: 'False', message: missing.join('. ').slice(0, 2000) }
  return found.includes('unknown')
    ? { type, status: 'Unknown', message: 'Services may not be read there' }
    : { type, status: 'True', message: null }
}

/** What the routes of a host lead to that is not there: a sentence for each. */
export async function missingBackends(
  kube: Kube,
  routes: readonly Route[],
): Promise<readonly string[]> {
  return sentences(await backendsOf(kube, routes))
}

type Backend = { readonly missing: string | null }

function backendsOf(
  kube: Kube,
  routes: readonly Route[],
): Promise<readonly (Backend | 'unknown')[]> {
  const all = routes.flatMap(destinationsOf)
  const once = new Map(all.map((to) => [`${to.namespace}/${to.service}:${to.port}`, to]))
  return Promise.all([...once.values()].map((to) => backendOf(kube, to)))
}

function sentences(found: readonly (Backend | 'unknown')[]): readonly string[] {
  const missing = found.flatMap((each) => (each === 'unknown' ? [] : (each.missing ?? [])))
  return [...new Set(missing)]
}

async function backendOf(
  kube: Kube,
  { service: name, namespace, port }: Destination,
): Promise<Backend | 'unknown'> {
  const service = await serviceOf(kube, { namespace, name })
  if (service === 'unknown') return service
  if (!service) {
    return { missing: `There is no Service ${namespace}/${name}: requests to it fail` }
  }
  const { spec } = service
  const ports = conforms(ServiceSpec, spec) ? spec.ports : []
  if (ports.some((each) => each.port === port)) return { missing: null }
  const there = ports.map((each) => `${each.port}${each.name ? ` (${each.name})` : ''}`)
  return {
    missing: `Service ${namespace}/${name} has no port ${port}, only ${there.join(', ') || 'none'}`,
  }
}

type Known = { readonly found: Promise<KubeObject | undefined | 'unknown'>; readonly until: number }

/** Many hosts lead to one Service: it is asked for once in some seconds. */
const servicesOf = oncePer((_: Kube) => new Map<string, Known>())
const memoryMilliseconds = 5_000
const memoryLimit = 10_000

function serviceOf(kube: Kube, at: { readonly namespace: string; readonly name: string }) {
  const known = servicesOf(kube)
  const key = `${at.namespace}/${at.name}`
  const before = known.get(key)
  if (before && before.until > performance.now()) return before.found
  const found = askForAll(() => orNothing(kube.get({ ...kinds.service, ...at })))
  if (known.size >= memoryLimit) known.clear()
  known.set(key, { found, until: performance.now() + memoryMilliseconds })
  found.catch(() => known.delete(key))
  return found
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
