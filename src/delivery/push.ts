import { trustDigest } from '../authorities/trust/placements.ts'
import { isTransient as isRefusalTransient } from '../certificates/issuance/transient.ts'
import { isAway, type Kube, KubeError } from '../clusters/kubernetes/kube.ts'
import { openCluster } from '../clusters/kubernetes/open.ts'
import { noteUnanswered, silenceOf } from '../clusters/silence.ts'
import type { Context } from '../core/context.ts'
import { specOf } from '../hosts/find.ts'
import { namesOf } from '../hosts/host.ts'
import { type RecordedObject, recordedRefs } from '../hosts/objects.ts'
import { Problem } from '../shared/problem.ts'
import { claimsTogether } from '../tenants/domains/claims.ts'
import { claimFault } from '../tenants/domains/ownership.ts'
import { applyHost, applySteps, touchSecrets } from './apply.ts'
import {
  type CertificateRow,
  challengesAt,
  deliveryOf,
  type PlacementRow,
  readPlacement,
} from './gather.ts'
import { type Intent, intend } from './intent.ts'
import { backendsFound } from './observe.ts'
import {
  type Outcome,
  settle,
  settleApplied,
  settleChallenges,
  waitingForCertificate,
} from './outcome/settle.ts'
import { backendClientWarnings } from './pairs/backendclients.ts'
import type { Step } from './plan.ts'
import { confirmPlacement } from './proof/confirm.ts'
import { whyFrozen } from './proof/frozen.ts'
import type { DesiredHost } from './renderer.ts'
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
  const bare = certificate?.der ? undefined : await challengesAt(ctx, placement)
  if (bare && !bare.challenges && recordedRefs(placement.objects).length === 0) {
    return placement.message === null ? waiting(ctx, placement) : undefined
  }
  const silence = silenceOf(placement.cluster)
  if (silence !== null) {
    return settle(ctx, placement, { status: 'Failed', message: silence, silent: true })
  }
  try {
    if (bare) await answerChallenges(ctx, placement, bare)
    else if (certificate) await deliver(ctx, placement, certificate)
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

/** Brings what answers a CA elsewhere to the cluster, and takes it off, while the host has no certificate. */
async function answerChallenges(
  ctx: Context,
  placement: PlacementRow,
  delivery: DesiredHost,
): Promise<void> {
  const kube = await openCluster(ctx, placement.clusterId)
  const names = namesOf(delivery.host.name, delivery.host.spec)
  const outcome = await carryOut(ctx, kube, { placement, delivery }, (steps) =>
    applySteps(kube, steps, names),
  )
  if (!outcome) return
  const { intent } = outcome
  const risks = await intent.risks
  await settleChallenges(ctx, placement, {
    objects: appliedOf(intent.objects),
    warnings: risks.map(({ message }) => message),
    answering: delivery.challenges !== undefined,
  })
}

type Delivery = { readonly placement: PlacementRow; readonly delivery: DesiredHost }

/** Decides what is to be done for a host and does it; answers undefined where something is in the way, after saying so.
 *  Objects that are not recorded are made without a look whether they are there, as they seldom are; where one is, all
 *  is looked for. */
async function carryOut(
  ctx: Context,
  kube: Kube,
  delivery: Delivery,
  apply: (steps: readonly Step[]) => Promise<readonly string[]>,
): Promise<{ readonly intent: Intent; readonly advice: readonly string[] } | undefined> {
  const attempt = async (recordedAlone: boolean) => {
    const intent = await intend(ctx, kube, { ...delivery, recordedAlone })
    if (!('conflicts' in intent)) return { intent, advice: await apply(intent.steps) }
    const message = intent.conflicts.join('. ')
    await settle(ctx, delivery.placement, { status: 'Conflict', message, againAfterSeconds: 60 })
    return undefined
  }
  try {
    return await attempt(true)
  } catch (error) {
    if (!(error instanceof KubeError) || error.fault !== 'exists') throw error
    return attempt(false)
  }
}

/** What is on the cluster once the steps have been taken. */
function appliedOf(objects: readonly RecordedObject[]): readonly RecordedObject[] {
  return objects
    .filter(({ digest }) => digest !== undefined)
    .map((object) => ({ ...object, applied: true }))
}

function waiting(ctx: Context, placement: PlacementRow): Promise<void> {
  return settle(ctx, placement, { status: 'Pending', message: waitingForCertificate })
}

async function deliver(
  ctx: Context,
  placement: PlacementRow,
  certificate: CertificateRow,
): Promise<void> {
  // Read while many read at one moment: they share statements.
  const [delivery, kube, foreign] = await Promise.all([
    deliveryOf(ctx, placement, certificate),
    openCluster(ctx, placement.clusterId),
    foreignNames(ctx, placement),
  ])
  const outcome = await carryOut(ctx, kube, { placement, delivery }, (steps) =>
    applyHost(ctx, kube, { placement, delivery, steps }),
  )
  if (!outcome) return
  const { intent, advice } = outcome
  const { steps, drift } = intent
  // What others have changed and is left so is not overwritten.
  const isAsWanted = drift.held.length === 0 && steps.every(({ action }) => action === 'keep')
  if (isAsWanted && (await isOverlooked(ctx, placement))) {
    await touchSecrets(kube, steps, ctx.now())
  }
  const risks = await intent.risks
  const warnings = [
    ...advice,
    ...risks.map(({ message }) => message),
    ...foreign,
    ...(await backendClientWarnings(ctx, delivery.host.spec)),
    ...drift.warnings,
  ]
  // Only the ingress itself can say that the host is served: see proof/confirm.ts.
  await settleApplied(ctx, placement, {
    changed: steps.some(({ action }) => action !== 'keep'),
    lost: risks.filter(({ wins }) => wins).map(({ message }) => message),
    warnings: [...new Set(warnings)],
    conditions: [await backendsFound(kube, delivery.host.spec.routes)],
    objects: appliedOf(intent.objects),
    drift,
    trust: delivery.clients ? trustDigest(delivery.clients.trust) : null,
  })
}

/** Whether the ingress has had a minute to serve what is there, does not, and nobody is known to keep it from that. */
async function isOverlooked(ctx: Context, placement: PlacementRow): Promise<boolean> {
  const { status, since, appliedAt } = placement
  const begun = Math.max(since.getTime(), appliedAt?.getTime() ?? 0)
  if (status !== 'Applied' || ctx.now().getTime() - begun < overlookedMilliseconds) return false
  return (await whyFrozen(ctx, placement)) === null
}

const overlookedMilliseconds = 60_000

/** A domain may have been given to another tenant since the host was put. */
async function foreignNames(ctx: Context, { host }: PlacementRow): Promise<readonly string[]> {
  const names = namesOf(host.name, specOf(host))
  const claims = await claimsTogether(ctx, names)
  return names.flatMap((name) => claimFault(host.tenantId, name, claims) ?? [])
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
  const conflict =
    error instanceof KubeError && (error.fault === 'conflict' || error.fault === 'exists')
  if (conflict) return { status: 'Conflict', message, againAfterSeconds: 60 }
  return isPassing(error)
    ? { status: 'Failed', message }
    : { status: 'Failed', message, againAfterSeconds: 60 }
}
