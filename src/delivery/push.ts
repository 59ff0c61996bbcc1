import { isDeepStrictEqual } from 'node:util'
import { record } from '../audit/record.ts'
import { trustDigest } from '../authorities/trust/placements.ts'
import { isTransient as isRefusalTransient } from '../certificates/issuance/transient.ts'
import { driftPolicy } from '../clusters/find.ts'
import { isSameObject } from '../clusters/kubernetes/kinds.ts'
import { isAway, type Kube, KubeError } from '../clusters/kubernetes/kube.ts'
import { openCluster } from '../clusters/kubernetes/open.ts'
import { noteUnanswered, silenceOf } from '../clusters/silence.ts'
import { systemActor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { json } from '../core/database/db.ts'
import { specOf } from '../hosts/find.ts'
import { namesOf, ServedSpecs } from '../hosts/host.ts'
import { type RecordedObject, recordedObjects, recordOf } from '../hosts/objects.ts'
import { Problem } from '../shared/problem.ts'
import { shownJson } from '../shared/view.ts'
import { claimsTogether } from '../tenants/domains/claims.ts'
import { claimFault } from '../tenants/domains/ownership.ts'
import { applySteps } from './apply.ts'
import { compare, rendererOf } from './compare.ts'
import { driftIn } from './drift/difference.ts'
import { digestOf } from './drift/digest.ts'
import { decide, repairsIn } from './drift/policy.ts'
import { type CertificateRow, deliveryOf, type PlacementRow, readPlacement } from './gather.ts'
import { backendsFound } from './observe.ts'
import { type Outcome, servedAs, settle, settleApplied } from './outcome/settle.ts'
import { storeIntent } from './outcome/store.ts'
import { isSecret, type Step } from './plan.ts'
import { confirmPlacement } from './proof/confirm.ts'
import type { Delivery } from './renderer.ts'
import { restart } from './secrets/restart.ts'
import { removeObjects } from './withdraw.ts'

/** Brings a host on a cluster to what is wanted, and says how that went. Throws when the cluster cannot
 *  be asked just now, after storing that, so that the queue tries again later and later. One that is known
 *  to be silent is not asked: its check makes this due when it answers. */
export async function pushPlacement(
  ctx: Context,
  { placementId }: { readonly placementId: string },
): Promise<void> {
  const placement = await readPlacement(ctx, placementId)
  if (!placement) return
  if (!placement.wanted) return removeObjects(ctx, placement)
  const { certificate } = placement.host
  // When there is one, this push is made due again; why there is none may be said already.
  if (!certificate?.der) return placement.message === null ? waiting(ctx, placement) : undefined
  const silence = silenceOf(placement.cluster)
  if (silence !== null) {
    return settle(ctx, placement, { status: 'Failed', message: silence, silent: true })
  }
  try {
    await deliver(ctx, placement, certificate)
  } catch (error) {
    if (!(error instanceof KubeError) && !(error instanceof Problem)) throw error
    await settle(ctx, placement, failure(error))
    if (isUnreachable(error)) await noteUnanswered(ctx, placement.clusterId)
    if (isPassing(error)) throw error
  }
}

/** Looks whether what was said of a host on a cluster still holds, and puts right what does not. While
 *  the cluster's API is away, what the ingress does is what counts. */
export async function lookAtPlacement(
  ctx: Context,
  key: { readonly placementId: string },
): Promise<void> {
  const placement = await readPlacement(ctx, key.placementId)
  const certificate = placement?.host.certificate
  // Whatever else it is has a push under way.
  if (!placement?.wanted || placement.status !== 'Synced' || !certificate?.der) return
  if (silenceOf(placement.cluster) !== null) return confirmPlacement(ctx, key)
  try {
    await deliver(ctx, placement, certificate)
  } catch (error) {
    if (!(error instanceof KubeError) && !(error instanceof Problem)) throw error
    if (isUnreachable(error)) await noteUnanswered(ctx, placement.clusterId)
    if (error instanceof KubeError && isPassing(error)) return confirmPlacement(ctx, key)
    await settle(ctx, placement, failure(error))
  }
}

function waiting(ctx: Context, placement: PlacementRow): Promise<void> {
  return settle(ctx, placement, { status: 'Pending', message: 'Waiting for its certificate' })
}

async function deliver(
  ctx: Context,
  placement: PlacementRow,
  certificate: CertificateRow,
): Promise<void> {
  // Gather what is wanted.
  const delivery = await deliveryOf(ctx, placement, certificate)
  const kube = await openCluster(ctx, placement.clusterId)
  // Plan: what is there, what has to be done, and what stands in the way.
  const recorded = recordedObjects(placement.objects)
  const compared = await compare(kube, {
    renderer: rendererOf(placement.cluster),
    delivery,
    recorded,
    wanted: true,
    othersAt: placement.cluster.othersAt,
  })
  const { conflicts } = compared
  if (conflicts.length > 0) {
    const message = conflicts.join('. ')
    return settle(ctx, placement, { status: 'Conflict', message, againAfterSeconds: 60 })
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
  // What may exist from here on is stored before it does, or a crash would leave it behind; and what it is
  // to be, so that who watches the cluster knows it from what others make of it.
  const intended = steps.map((step) => recordedAs(step, recorded))
  const intent = { objects: recordOf(intended), served: servedWith(placement) }
  const { objects, served } = placement
  if (!isDeepStrictEqual(json(intent), { objects, served })) {
    await storeIntent(ctx)({ id: placement.id, ...intent })
  }
  // Apply: up in order, then what is no longer needed, down.
  const advice = await applySteps(kube, steps, namesOf(delivery.host.name, delivery.host.spec))
  const restarted = await restartBackend(ctx, kube, { delivery, placement, steps })
  const risks = await compared.risks
  // Record. Only the ingress itself can say that the host is served: see proof/confirm.ts.
  const warnings = [
    ...advice,
    ...restarted,
    ...risks.map(({ message }) => message),
    ...(await foreignNames(ctx, placement)),
    ...drift.warnings,
  ]
  await settleApplied(ctx, placement, {
    changed: steps.some(({ action }) => action !== 'keep'),
    lost: risks.filter(({ wins }) => wins).map(({ message }) => message),
    warnings: [...new Set(warnings)],
    conditions: [await backendsFound(kube, delivery.host.spec.routes)],
    objects: intended
      .filter(({ digest }) => digest !== undefined)
      .map((object) => ({ ...object, applied: true })),
    drift,
    trust: delivery.clients ? trustDigest(delivery.clients.trust) : null,
  })
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

/** A domain may have been given to another tenant since the host was put. */
async function foreignNames(ctx: Context, { host }: PlacementRow): Promise<readonly string[]> {
  const names = namesOf(host.name, specOf(host))
  const claims = await claimsTogether(ctx, names)
  return names.flatMap((name) => claimFault(host.tenantId, name, claims) ?? [])
}

type Delivered = {
  readonly delivery: Delivery
  readonly placement: PlacementRow
  readonly steps: readonly Step[]
}

/** Has the workload of a PASSTHROUGH host take up its certificate, where that was asked for; answers why it
 *  does not. */
async function restartBackend(
  ctx: Context,
  kube: Kube,
  { delivery, placement, steps }: Delivered,
): Promise<readonly string[]> {
  const { certificate, host } = delivery
  const deployment = host.spec.certificate.restart?.deployment
  const place = steps.find(({ ref, object }) => object && isSecret(ref))
  if (deployment === undefined || !place) return []
  const { namespace } = place.ref
  const { serial } = certificate
  const { rolledOut, fault } = await restart(kube, { namespace, deployment, serial })
  if (rolledOut) {
    await ctx.db.transaction((tx) =>
      record(
        tx,
        { actor: systemActor('placement.push'), now: ctx.now() },
        'host.backend-restarted',
        {
          subject: { kind: 'host', id: host.id, name: host.name, tenantId: placement.tenantId },
          changes: {
            cluster: placement.cluster.name,
            deployment: `${namespace}/${deployment}`,
            serial,
          },
        },
      ),
    )
  }
  return fault === null ? [] : [fault]
}

/** The cluster, or what signs, is away: nothing is wrong with what was asked. */
function isPassing(error: KubeError | Problem): boolean {
  if (error instanceof Problem) return isRefusalTransient(error)
  return isAway(error)
}

function isUnreachable(error: KubeError | Problem): boolean {
  return error instanceof KubeError && error.fault === 'unreachable'
}

function failure(error: KubeError | Problem): Outcome {
  const { message } = error
  const conflict = error instanceof KubeError && error.fault === 'conflict'
  if (conflict) return { status: 'Conflict', message, againAfterSeconds: 60 }
  return isPassing(error)
    ? { status: 'Failed', message }
    : { status: 'Failed', message, againAfterSeconds: 60 }
}
