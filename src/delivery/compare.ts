import { apiOf, type ClusterRow } from '../clusters/find.ts'
import { isSameObject } from '../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../clusters/kubernetes/kube.ts'
import type { RecordedObject } from '../hosts/objects.ts'
import { digestOf } from './drift/digest.ts'
import { gatewayApi } from './gatewayapi/renderer.ts'
import { istio } from './istio/renderer.ts'
import { observe } from './observe.ts'
import { foreignObjects, isSecret, plan, refOf, type Step } from './plan.ts'
import type { Collision, DesiredHost, Renderer } from './renderer.ts'

/** A host as it is wanted on a cluster, or no longer is, and the objects recorded to carry it. */
export type Comparable = {
  readonly renderer: Renderer
  readonly delivery: DesiredHost
  readonly recorded: readonly RecordedObject[]
  readonly wanted: boolean
  /** When others were last seen to change what they have before an ingress. */
  readonly othersAt?: Date | null
  /** What is not recorded is taken not to be there: whoever makes it finds out whether it is. */
  readonly recordedAlone?: boolean
}

/** What it takes to get from what is on the cluster to what is wanted. */
export type Compared = {
  readonly steps: readonly Step[]
  /** What is there of the host. */
  readonly observed: readonly KubeObject[]
  /** Why it may not be done. */
  readonly conflicts: readonly string[]
  /** What does not keep a host from staying as it is: nothing that is to be done waits for it. */
  readonly risks: Promise<readonly Collision[]>
}

/** What hosts become on a cluster. */
export function rendererOf(cluster: Pick<ClusterRow, 'api'>): Renderer {
  return apiOf(cluster) === 'gateway-api' ? gatewayApi : istio
}

/** Compares a host with its cluster. What others have before the ingress is a conflict when its
 *  configuration is to change, and else a risk: a certificate is renewed whatever they do. */
export async function compare(
  kube: Kube,
  { renderer, delivery, recorded, wanted, othersAt = null, recordedAlone = false }: Comparable,
): Promise<Compared> {
  const hostId = delivery.host.id
  const desired = wanted ? renderer.manifests(delivery) : []
  // Where objects tell nothing of themselves, those that were taken as they are wanted most likely still are so.
  const likely = renderer.faults ? [] : desired.filter((object) => isRecordedSo(object, recorded))
  const unrecorded = recordedAlone ? [] : desired.map(refOf)
  const observed = await observe(kube, [...unrecorded, ...recorded], likely)
  const comparison = { hostId, order: renderer.kinds, desired, observed, recorded }
  const steps = plan(comparison)
  const conflicts = foreignObjects(comparison)
  const routing = steps.filter(({ ref, object }) => object && !isSecret(ref))
  if (routing.length === 0) {
    const message = wanted ? renderer.unable?.(delivery) : undefined
    const risks = message === undefined ? [] : [{ message, blocks: false, wins: true }]
    return { steps, observed, conflicts, risks: Promise.resolve(risks) }
  }
  const unchanged = routing.every(({ action }) => action === 'keep')
  const found = renderer.collisions(kube, {
    delivery,
    observed,
    recent: unchanged,
    since: othersAt,
  })
  if (unchanged) {
    // Whoever reads it is told; who fails before that does not.
    found.catch(() => undefined)
    return { steps, observed, conflicts, risks: found }
  }
  const all = await found
  const blocking = all.filter(({ blocks }) => blocks).map(({ message }) => message)
  const risks = all.filter(({ blocks }) => !blocks)
  return { steps, observed, conflicts: [...conflicts, ...blocking], risks: Promise.resolve(risks) }
}

function isRecordedSo(object: KubeObject, recorded: readonly RecordedObject[]): boolean {
  const before = recorded.find((each) => isSameObject(each, refOf(object)))
  return before?.applied === true && before.digest === digestOf(object)
}
