import { isDeepStrictEqual } from 'node:util'
import type { Kube, KubeObject } from '../clusters/kubernetes/kube.ts'
import type { ObjectRef } from '../hosts/host.ts'
import { collisions, precedes } from './istio/collisions.ts'
import { type Delivery, manifests, objectName, secretName } from './istio/manifests.ts'
import { neighboursOf, observe, recentNeighbours } from './observe.ts'
import { isOurs, nameOf, plan, refOf, type Step, strangers } from './plan.ts'

/** A host as it is wanted on a cluster, or no longer is, and the objects recorded to carry it. */
export type Comparable = {
  readonly delivery: Delivery
  readonly recorded: readonly ObjectRef[]
  readonly wanted: boolean
}

/** What others have put beside a host that is there already. */
export type Risk = {
  readonly message: string
  /** It has taken plain HTTP from the host. Of TLS the ingress itself tells. */
  readonly wins: boolean
}

/** What it takes to get from what is on the cluster to what is wanted. */
export type Compared = {
  readonly steps: readonly Step[]
  /** Why it may not be done. */
  readonly conflicts: readonly string[]
  /** What does not keep a host from staying as it is. */
  readonly risks: readonly Risk[]
}

/** Compares a host with its cluster. What others have before the ingress is a conflict when its
 *  configuration is to change, and else a risk: a certificate is renewed whatever they do. */
export async function compare(
  kube: Kube,
  { delivery, recorded, wanted }: Comparable,
): Promise<Compared> {
  const { host, ingress } = delivery
  const desired = wanted ? manifests(delivery) : []
  const shadows = wanted && host.spec.tls.mode === 'MUTUAL' ? [shadowOf(delivery)] : []
  const observed = await observe(kube, [...desired.map(refOf), ...recorded, ...shadows])
  const comparison = { hostId: host.id, desired, observed }
  const steps = plan(comparison)
  const conflicts = [...strangers(comparison), ...shadowing(host.id, shadows, observed)]
  const routing = steps.filter(({ ref, object }) => object && ref.kind !== 'Secret')
  if (routing.length === 0) return { steps, conflicts, risks: [] }
  const unchanged = routing.every(({ action }) => action === 'keep')
  const neighbours = await (unchanged ? recentNeighbours : neighboursOf)(kube, ingress)
  const own = `${ingress.namespace}/${objectName(host.name)}`
  const found = collisions({ name: host.name, spec: host.spec, own }, neighbours)
  if (!unchanged) {
    return { steps, conflicts: [...conflicts, ...found.map(({ message }) => message)], risks: [] }
  }
  const gateway = observed.find(({ kind }) => kind === 'Gateway')
  const risks = found.map(({ message, plain, object }) => ({
    message,
    wins: plain && (gateway === undefined || precedes(object, gateway)),
  }))
  return { steps, conflicts, risks }
}

/** A Secret of this name comes before ours for whose clients are let in (istio.md 1.5). */
function shadowOf(delivery: Delivery): ObjectRef {
  const name = `${secretName(delivery)}-cacert`
  return { kind: 'Secret', namespace: delivery.ingress.namespace, name }
}

/** One that bears our labels is removed by the plan, as is all that is ours and not wanted. */
function shadowing(
  hostId: string,
  shadows: readonly ObjectRef[],
  observed: readonly KubeObject[],
): readonly string[] {
  return observed
    .filter((object) => !isOurs(object, hostId))
    .map(refOf)
    .filter((ref) => shadows.some((each) => isDeepStrictEqual(each, ref)))
    .map((ref) => `${nameOf(ref)} decides in our place whose clients are let in; remove it`)
}
