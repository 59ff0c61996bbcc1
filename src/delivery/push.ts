import { trustDigest } from '../authorities/trusting.ts'
import { type Kube, KubeError, type KubeObject } from '../clusters/kube.ts'
import { openCluster } from '../clusters/open.ts'
import { noteAnswered, noteUnanswered, silenceOf } from '../clusters/silence.ts'
import type { Context } from '../ground/context.ts'
import { json } from '../ground/db.ts'
import type { ObjectRef } from '../hosts/host.ts'
import { collisions } from './collisions.ts'
import {
  type CertificateRow,
  deliveryOf,
  type PlacementRow,
  readPlacement,
  recordedObjects,
} from './gather.ts'
import { type Delivery, manifests } from './manifests.ts'
import { missingBackends, neighboursOf, observe } from './observe.ts'
import { plan, refOf, type Step, strangers } from './plan.ts'
import { type Outcome, settle } from './settle.ts'
import { servedOr } from './verify.ts'
import { withdraw } from './withdraw.ts'

/** How long the ingress may take to serve what was just pushed; and how long when nothing was. */
const patience = { changed: 15_000, unchanged: 1_000 } as const

/** Brings a host on a cluster to what is wanted, and says how that went. Throws when the cluster cannot
 *  be asked just now, after storing that, so that the queue tries again later and later. One that is known
 *  to be silent is not asked: its check makes this due when it answers. */
export async function pushPlacement(
  ctx: Context,
  { placementId }: { readonly placementId: string },
): Promise<void> {
  const placement = await readPlacement(ctx.db.read, placementId)
  if (!placement) return
  if (!placement.wanted) return withdraw(ctx, placement)
  const { certificate } = placement.host
  // When there is one, this push is made due again; why there is none may be said already.
  if (!certificate?.der) return placement.message === null ? waiting(ctx, placement) : undefined
  const silence = silenceOf(placement.cluster)
  if (silence !== null) {
    return settle(ctx, placement, { status: 'Failed', message: silence, silent: true })
  }
  try {
    const outcome = await deliver(ctx, placement, certificate)
    await settle(ctx, placement, outcome)
    if (outcome.unanswered) await noteUnanswered(ctx, placement.clusterId)
    else await noteAnswered(ctx, placement.cluster)
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    await settle(ctx, placement, failure(error))
    if (error.fault === 'unreachable') await noteUnanswered(ctx, placement.clusterId)
    if (isPassing(error)) throw error
  }
}

function waiting(ctx: Context, placement: PlacementRow): Promise<void> {
  return settle(ctx, placement, { status: 'Pending', message: 'Waiting for its certificate' })
}

async function deliver(
  ctx: Context,
  placement: PlacementRow,
  certificate: CertificateRow,
): Promise<Outcome> {
  // 1. What is wanted, what is there, and what stands in the way.
  const delivery = await deliveryOf(ctx, placement, certificate)
  const kube = await openCluster(ctx, placement.clusterId)
  const { steps, conflicts } = await compare(kube, {
    delivery,
    recorded: recordedObjects(placement),
    wanted: true,
  })
  if (conflicts.length > 0) {
    return { status: 'Conflict', message: conflicts.join('. '), againAfterSeconds: 60 }
  }
  // 2. What may exist from here on is stored before it does, or a crash would leave it behind.
  const objects = steps.map(({ ref }) => ref)
  await ctx.db.transaction((tx) =>
    tx.placement.updateMany({ where: { id: placement.id }, data: { objects: json(objects) } }),
  )
  // 3. Up in order, then what is no longer needed, down.
  const advice = await take(kube, steps)
  // 4. Only the ingress itself can say that the host is served.
  const warnings = [...advice, ...(await missingBackends(kube, delivery.host.spec.routes))]
  const kept = steps.filter(({ object }) => object).map(({ ref }) => ref)
  const changed = steps.some(({ action }) => action !== 'keep')
  const trust = delivery.clients ? trustDigest(delivery.clients.trust) : null
  return { ...(await verdict(delivery, certificate, changed)), warnings, objects: kept, trust }
}

/** A host as it is wanted on a cluster, or no longer is, and the objects recorded to carry it. */
type Comparable = {
  readonly delivery: Delivery
  readonly recorded: readonly ObjectRef[]
  readonly wanted: boolean
}

/** What it takes to get from what is on the cluster to what is wanted, and why it may not be done.
 *  Whom else the ingress serves is only looked at when its configuration is to change. */
export async function compare(
  kube: Kube,
  { delivery, recorded, wanted }: Comparable,
): Promise<{ readonly steps: readonly Step[]; readonly conflicts: readonly string[] }> {
  const { host, ingress } = delivery
  const desired = wanted ? manifests(delivery) : []
  const observed = await observe(kube, [...desired.map(refOf), ...recorded])
  const comparison = { hostId: host.id, desired, observed }
  const steps = plan(comparison)
  const foreign = strangers(comparison)
  const routing = steps.filter(({ ref, object }) => object && ref.kind !== 'Secret')
  if (routing.every(({ action }) => action === 'keep')) return { steps, conflicts: foreign }
  return { steps, conflicts: [...foreign, ...collisions(host, await neighboursOf(kube, ingress))] }
}

/** Takes the steps; answers what admission warned of. What the cluster would refuse is found out by a
 *  dry run, before the first object is there. */
async function take(kube: Kube, steps: readonly Step[]): Promise<readonly string[]> {
  const changed = steps.flatMap(({ action, object }) =>
    object && action !== 'keep' ? [object] : [],
  )
  for (const object of changed.filter(isRouting)) await kube.apply(object, { dryRun: true })
  const warnings: string[] = []
  for (const object of changed) warnings.push(...(await kube.apply(object)))
  for (const { action, ref } of steps) if (action === 'remove') await kube.remove(ref)
  return [...new Set(warnings)]
}

function isRouting({ kind }: KubeObject): boolean {
  return kind !== 'Secret'
}

/** Synced only when the certificate served is the certificate issued. */
async function verdict(
  { host, ingress }: Delivery,
  { der }: CertificateRow,
  changed: boolean,
): Promise<Outcome> {
  const expected = {
    address: ingress.address,
    hostname: host.name,
    der: Buffer.from(der ?? []),
  }
  const patient = changed ? patience.changed : patience.unchanged
  const { fault, unanswered } = await servedOr(expected, patient)
  if (fault === null) return { status: 'Synced', message: null }
  // The workload takes up its Secret in its own time: kubelet alone may need a minute.
  return host.spec.tls.mode === 'PASSTHROUGH'
    ? { status: 'Pending', message: fault, unanswered, againAfterSeconds: 15 }
    : { status: 'Failed', message: fault, unanswered, againAfterSeconds: 60 }
}

/** The cluster, not what was asked of it. */
function isPassing({ fault }: KubeError): boolean {
  return fault === 'unreachable' || fault === 'unavailable'
}

function failure(error: KubeError): Outcome {
  const { message } = error
  if (error.fault === 'conflict') return { status: 'Conflict', message, againAfterSeconds: 60 }
  return isPassing(error)
    ? { status: 'Failed', message }
    : { status: 'Failed', message, againAfterSeconds: 60 }
}
