import { isDeepStrictEqual } from 'node:util'
import { driftPolicy } from '../clusters/find.ts'
import { isSameObject } from '../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../clusters/kubernetes/kube.ts'
import type { Context } from '../core/context.ts'
import { json } from '../core/database/db.ts'
import { ServedSpecs } from '../hosts/host.ts'
import { type RecordedObject, recordedObjects, recordOf } from '../hosts/objects.ts'
import { shownJson } from '../shared/view.ts'
import { compare, rendererOf } from './compare.ts'
import { driftIn } from './drift/difference.ts'
import { digestOf } from './drift/digest.ts'
import { type Decision, decide, repairsIn } from './drift/policy.ts'
import type { PlacementRow } from './gather.ts'
import { servedAs } from './outcome/settle.ts'
import { storeIntent } from './outcome/store.ts'
import { isOurs, refOf, type Step } from './plan.ts'
import type { Collision, DesiredHost } from './renderer.ts'

/** What a push is about to do on a cluster. */
export type Intent = {
  readonly steps: readonly Step[]
  /** The objects that may exist from here on, each with a digest of what it is to be. */
  readonly objects: readonly RecordedObject[]
  /** What others have changed, and what is done about it. */
  readonly drift: Decision
  /** What others have before the ingress; nothing that is to be done waits for it. */
  readonly risks: Promise<readonly Collision[]>
}

/** A host as it is wanted on a cluster; `recordedAlone` as in compare. */
type Wanted = {
  readonly placement: PlacementRow
  readonly delivery: DesiredHost
  readonly recordedAlone?: boolean
}

/** Compares a host with its cluster, decides what is done about what others have changed, and stores what may
 *  exist from here on before anything of it does: a crash would leave it behind, and who watches the cluster
 *  knows it from what others make of it. Answers why nothing may be done, where something is in the way: on record is then
 *  what was before and what is there of the host. Throws KubeError, and host-refused for recorded objects of a release that is not known. */
export async function intend(
  ctx: Context,
  kube: Kube,
  { placement, delivery, recordedAlone = false }: Wanted,
): Promise<Intent | { readonly conflicts: readonly string[] }> {
  const recorded = recordedObjects(placement.objects)
  const compared = await compare(kube, {
    renderer: rendererOf(placement.cluster),
    delivery,
    recorded,
    wanted: true,
    othersAt: placement.cluster.othersAt,
    recordedAlone,
  })
  const { conflicts, risks } = compared
  if (conflicts.length > 0) {
    // Whoever made what is not recorded without a look has recorded what is of others, too.
    if (!recordedAlone) await storeIntent(ctx)(asThere(placement, recorded, compared.observed))
    return { conflicts }
  }
  // What others have changed of it: put right, or left as it is for now.
  const drift = decide({
    policy: driftPolicy(placement.cluster),
    insisted: placement.takeBack,
    drift: driftIn(recorded, compared.steps, compared.observed),
    repairs: repairsIn(placement.repairs),
    now: ctx.now(),
  })
  const steps = compared.steps.map((step): Step => {
    const held = drift.held.some(({ ref }) => isSameObject(ref, step.ref))
    return held ? { ...step, action: 'keep' } : step
  })
  const objects = steps.map((step) => recordedAs(step, recorded))
  const next = { objects: recordOf(objects), served: servedWith(placement) }
  const { objects: before, served } = placement
  if (!isDeepStrictEqual(json(next), { objects: before, served })) {
    await storeIntent(ctx)({ id: placement.id, ...next })
  }
  return { steps, objects, drift, risks }
}

/** The record of what is there of a host, where nothing is to be done. */
function asThere(
  { id, host, served }: PlacementRow,
  recorded: readonly RecordedObject[],
  observed: readonly KubeObject[],
) {
  const made = observed
    .filter((object) => isOurs(object, { hostId: host.id }))
    .map(refOf)
    .filter((ref) => !recorded.some((each) => isSameObject(each, ref)))
  return { id, objects: recordOf([...recorded, ...made]), served }
}

/** An object that is about to be as wanted, if it is not so already. */
function recordedAs({ ref, object }: Step, recorded: readonly RecordedObject[]): RecordedObject {
  if (!object) return ref
  const digest = digestOf(object)
  const before = recorded.find((each) => isSameObject(each, ref))
  const applied = before?.digest === digest && before.applied === true
  return { ...ref, digest, ...(applied ? { applied } : {}) }
}

/** How the host may be served from here on: as before, or as it is asked for. */
function servedWith({ served, host }: PlacementRow): ServedSpecs {
  const before = shownJson(ServedSpecs, served ?? [])
  const next = servedAs(host)
  return [...before.filter((each) => !isDeepStrictEqual(each, next)), next]
}
