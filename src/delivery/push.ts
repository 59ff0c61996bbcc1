import { isDeepStrictEqual } from 'node:util'
import { trustDigest } from '../authorities/trust/placements.ts'
import { isPassing as isRefusalPassing } from '../certificates/issuance/passing.ts'
import { type Kube, KubeError } from '../clusters/kubernetes/kube.ts'
import { openCluster } from '../clusters/kubernetes/open.ts'
import { noteAnswered, noteUnanswered, silenceOf } from '../clusters/silence.ts'
import type { Context } from '../core/context.ts'
import { json } from '../core/database/db.ts'
import { specOf } from '../hosts/find.ts'
import { namesOf, ServedSpecs } from '../hosts/host.ts'
import { recordedRefs, recordOf } from '../hosts/objects.ts'
import { Problem } from '../shared/problem.ts'
import { shownJson } from '../shared/view.ts'
import { claimsTogether } from '../tenants/domains/claims.ts'
import { claimFault } from '../tenants/domains/ownership.ts'
import { compare } from './compare.ts'
import { type CertificateRow, deliveryOf, type PlacementRow, readPlacement } from './gather.ts'
import { backendsFound } from './observe.ts'
import { isSecret, type Step } from './plan.ts'
import { type Proof, prove } from './proof/prove.ts'
import { type Outcome, servedAs, settle } from './settle.ts'
import { removeObjects } from './withdraw.ts'

/** How long the ingress may take to serve what was just pushed; and how long when nothing was. */
const proofMilliseconds = { changed: 15_000, unchanged: 1_000 } as const

/** Brings a host on a cluster to what is wanted, and says how that went. Throws when the cluster cannot
 *  be asked just now, after storing that, so that the queue tries again later and later. One that is known
 *  to be silent is not asked: its check makes this due when it answers. */
export async function pushPlacement(
  ctx: Context,
  { placementId }: { readonly placementId: string },
): Promise<void> {
  const placement = await readPlacement(ctx.db.read, placementId)
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
    await deliverAndSettle(ctx, placement, certificate)
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
  { placementId }: { readonly placementId: string },
): Promise<void> {
  const placement = await readPlacement(ctx.db.read, placementId)
  const certificate = placement?.host.certificate
  // Whatever else it is has a push under way.
  if (!placement?.wanted || placement.status !== 'Synced' || !certificate?.der) return
  if (silenceOf(placement.cluster) !== null) {
    return settle(ctx, placement, await seen(ctx, placement, certificate))
  }
  try {
    await deliverAndSettle(ctx, placement, certificate)
  } catch (error) {
    if (!(error instanceof KubeError) && !(error instanceof Problem)) throw error
    const away = error instanceof KubeError && isPassing(error)
    await settle(ctx, placement, away ? await seen(ctx, placement, certificate) : failure(error))
    if (isUnreachable(error)) await noteUnanswered(ctx, placement.clusterId)
  }
}

/** Says how it went, and whether the cluster answered. */
async function deliverAndSettle(
  ctx: Context,
  placement: PlacementRow,
  certificate: CertificateRow,
): Promise<void> {
  const outcome = await deliver(ctx, placement, certificate)
  await settle(ctx, placement, outcome)
  if (outcome.unanswered) await noteUnanswered(ctx, placement.clusterId)
  else await noteAnswered(ctx, placement.cluster)
}

async function seen(
  ctx: Context,
  placement: PlacementRow,
  certificate: CertificateRow,
): Promise<Outcome> {
  const proof = await prove(ctx, {
    placement,
    certificate,
    timeoutMilliseconds: proofMilliseconds.unchanged,
  })
  return verdict(placement, proof)
}

function waiting(ctx: Context, placement: PlacementRow): Promise<void> {
  return settle(ctx, placement, { status: 'Pending', message: 'Waiting for its certificate' })
}

async function deliver(
  ctx: Context,
  placement: PlacementRow,
  certificate: CertificateRow,
): Promise<Outcome> {
  // Gather what is wanted.
  const delivery = await deliveryOf(ctx, placement, certificate)
  const kube = await openCluster(ctx, placement.clusterId)
  // Plan: what is there, what has to be done, and what stands in the way.
  const { steps, conflicts, risks } = await compare(kube, {
    delivery,
    recorded: recordedRefs(placement.objects),
    wanted: true,
  })
  if (conflicts.length > 0) {
    return { status: 'Conflict', message: conflicts.join('. '), againAfterSeconds: 60 }
  }
  // What may exist from here on is stored before it does, or a crash would leave it behind.
  const objects = json(recordOf(steps.map(({ ref }) => ref)))
  const served = json(servedWith(placement))
  await ctx.db.transaction((tx) =>
    tx.placement.updateMany({ where: { id: placement.id }, data: { objects, served } }),
  )
  // Apply: up in order, then what is no longer needed, down.
  const advice = await apply(kube, steps)
  // Prove: only the ingress itself can say that the host is served.
  const changed = steps.some(({ action }) => action !== 'keep')
  const proof = await prove(ctx, {
    placement,
    certificate,
    timeoutMilliseconds: changed ? proofMilliseconds.changed : proofMilliseconds.unchanged,
  })
  const lost = risks.filter(({ wins }) => wins).map(({ message }) => message)
  const warnings = [
    ...advice,
    ...proof.warnings,
    ...risks.map(({ message }) => message),
    ...(await foreignNames(ctx, placement)),
  ]
  const outcome = verdict(placement, proof, lost)
  const trust = delivery.clients ? trustDigest(delivery.clients.trust) : null
  return {
    ...outcome,
    changed,
    warnings: [...new Set(warnings)],
    conditions: [await backendsFound(kube, delivery.host.spec.routes)],
    objects: steps.filter(({ object }) => object).map(({ ref }) => ref),
    // A change of an authority's key goes on when every gateway is seen to have the trust.
    trust: proof.fault === null ? trust : null,
  }
}

/** How the host may be served from here on: as before, or as it is asked for. */
function servedWith({ served, host }: PlacementRow): ServedSpecs {
  const before = shownJson(ServedSpecs, served ?? [])
  const next = servedAs(host)
  return [...before.filter((each) => !isDeepStrictEqual(each, next)), next]
}

/** Synced only when what is served is what was issued, and who is to be let in is. `lost` is what the
 *  ingress was not asked about, and others have. */
function verdict(
  { host }: PlacementRow,
  { fault, unanswered, until }: Proof,
  lost: readonly string[] = [],
): Outcome {
  if (fault === null && lost.length > 0) {
    return { status: 'Conflict', message: lost.join('. '), againAfterSeconds: 60 }
  }
  if (fault === null) return { status: 'Synced', message: null, until }
  const message = [fault, ...lost].join('. ')
  // The workload takes up its Secret in its own time: kubelet alone may need a minute.
  return specOf(host).tls.mode === 'PASSTHROUGH'
    ? { status: 'Pending', message, unanswered, againAfterSeconds: 15 }
    : { status: 'Failed', message, unanswered, againAfterSeconds: 60 }
}

/** A domain may have been given to another tenant since the host was put. */
async function foreignNames(ctx: Context, { host }: PlacementRow): Promise<readonly string[]> {
  const names = namesOf(host.name, specOf(host))
  const claims = await claimsTogether(ctx, names)
  return names.flatMap((name) => claimFault(host.tenantId, name, claims) ?? [])
}

/** Takes the steps on the cluster; answers what admission warned of. What the cluster would refuse is found out by a
 *  dry run, before the first object is there. */
async function apply(kube: Kube, steps: readonly Step[]): Promise<readonly string[]> {
  const changed = steps.flatMap(({ action, object }) =>
    object && action !== 'keep' ? [object] : [],
  )
  const routing = changed.filter((object) => !isSecret(object))
  for (const object of routing) await kube.apply(object, { dryRun: true })
  const warnings: string[] = []
  for (const object of changed) warnings.push(...(await kube.apply(object)))
  for (const { action, ref } of steps) if (action === 'remove') await kube.remove(ref)
  return [...new Set(warnings)]
}

/** The cluster, or what signs, is away: nothing is wrong with what was asked. */
function isPassing(error: KubeError | Problem): boolean {
  if (error instanceof Problem) return isRefusalPassing(error)
  return error.fault === 'unreachable' || error.fault === 'unavailable'
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
