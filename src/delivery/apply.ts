import { createHash } from 'node:crypto'
import { record } from '../audit/record.ts'
import type { KubeRef } from '../clusters/kubernetes/kinds.ts'
import { isAway, type Kube, KubeError, type KubeObject } from '../clusters/kubernetes/kube.ts'
import { systemActor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { oncePer } from '../core/onceper.ts'
import { namesOf } from '../hosts/host.ts'
import { digestOf } from './drift/digest.ts'
import type { PlacementRow } from './gather.ts'
import { isSecret, nameOf, refOf, type Step } from './plan.ts'
import type { DesiredHost } from './renderer.ts'
import { restart } from './secrets/restart.ts'

/** What is to be done for a host on a cluster. */
export type HostSteps = {
  readonly placement: PlacementRow
  readonly delivery: DesiredHost
  readonly steps: readonly Step[]
}

/** Takes the steps of a host on its cluster, then has its backend take up the certificate; answers what is to be
 *  warned of. Throws KubeError. */
export async function applyHost(
  ctx: Context,
  kube: Kube,
  { placement, delivery, steps }: HostSteps,
): Promise<readonly string[]> {
  const { host } = delivery
  const advice = await applySteps(kube, steps, namesOf(host.name, host.spec))
  return [...advice, ...(await restartBackend(ctx, kube, { placement, delivery, steps }))]
}

/** Takes the steps on the cluster, up in order, then down; answers what admission warned of. What the cluster
 *  would refuse is found out by a dry run, before the first object is there; `names` are the host's. Fields of
 *  our objects that others have taken are taken back; one that is to be made is not taken from whoever has made
 *  it: throws KubeError, `exists`. */
export async function applySteps(
  kube: Kube,
  steps: readonly Step[],
  names: readonly string[],
): Promise<readonly string[]> {
  const changed = steps.flatMap(({ action, object }) =>
    object && action !== 'keep' ? [{ object, make: action === 'create' }] : [],
  )
  const routing = changed.filter(({ object }) => !isSecret(object))
  for (const { object, make } of routing) await tryOut(kube, { object, make, names })
  const warnings: string[] = []
  // One Secret that is refused, such as for its length, holds up none of the others: a certificate arrives.
  const refused: KubeError[] = []
  for (const { object, make } of changed) {
    if (refused[0] && !isSecret(object)) break
    try {
      noteOurs(kube, object)
      warnings.push(...(await kube.apply(object, { make, force: !make })))
    } catch (error) {
      if (!(error instanceof KubeError) || !isSecret(object)) throw error
      if (isAway(error) || error.fault === 'exists') throw error
      refused.push(error)
    }
  }
  if (refused[0]) throw refused[0]
  for (const { action, ref } of steps) if (action === 'remove') await kube.remove(ref)
  return [...new Set(warnings)]
}

/** Changes a host's Secrets and changes them back, so that the ingress is told of them anew. When the API server does not answer
 *  istiod whether a gateway may read a Secret, istiod tells the gateway that there is none, and does not ask again before
 *  that Secret changes: connections are reset for good. Throws KubeError. */
export async function touchSecrets(kube: Kube, steps: readonly Step[], now: Date): Promise<void> {
  const secrets = steps.flatMap(({ object }) => (object && isSecret(object) ? [object] : []))
  for (const secret of secrets) {
    const { metadata } = secret
    const annotations = { ...metadata.annotations, [touched]: now.toISOString() }
    noteOurs(kube, secret)
    await kube.apply({ ...secret, metadata: { ...metadata, annotations } }, { force: true })
    await kube.apply(secret, { force: true })
  }
}

const touched = 'gatesmith.dev/touched'

/** Has the workload of a PASSTHROUGH host take up its certificate, where that was asked for; answers why it
 *  does not. */
async function restartBackend(
  ctx: Context,
  kube: Kube,
  { placement, delivery: { certificate, host }, steps }: HostSteps,
): Promise<readonly string[]> {
  const deployment = host.spec.certificate.restart?.deployment
  const place = steps.find(({ ref, object }) => object && isSecret(ref))
  if (deployment === undefined || !place || !certificate) return []
  const { namespace } = place.ref
  const { serial } = certificate
  const { rolledOut, fault } = await restart(kube, { namespace, deployment, serial })
  if (rolledOut) {
    const by = { actor: systemActor('placement.push'), now: ctx.now() }
    const { tenantId, cluster } = placement
    const subject = { kind: 'host', id: host.id, name: host.name, tenantId } as const
    const changes = { cluster: cluster.name, deployment: `${namespace}/${deployment}`, serial }
    await ctx.db.transaction((tx) => record(tx, by, 'host.backend-restarted', { subject, changes }))
  }
  return fault === null ? [] : [fault]
}

/** What each cluster has let through of late, but for the names in it: that it would let through again. A try
 *  costs as much as the change itself. */
const acceptedBy = oncePer((_: Kube) => new Map<string, Accepted>())
type Accepted = { readonly tried: Promise<unknown>; readonly until: number }
const memoryLimit = 1000
const memoryMilliseconds = 600_000

/** What we have applied to each cluster and not seen there since, by object. */
const oursOn = oncePer((_: Kube) => new Map<string, string>())
const oursLimit = 10_000

function noteOurs(kube: Kube, object: KubeObject): void {
  const ours = oursOn(kube)
  if (ours.size >= oursLimit) ours.clear()
  ours.set(nameOf(refOf(object)), digestOf(object))
}

/** Whether an object that is seen on the cluster is as this process has just applied it, and not seen so
 *  before: then nobody has to be asked whose it is. */
export function isOursNow(kube: Kube, ref: KubeRef, digest: string): boolean {
  const ours = oursOn(kube)
  const name = nameOf(ref)
  const same = ours.get(name) === digest
  ours.delete(name)
  return same
}

type Trial = {
  readonly object: KubeObject
  readonly make: boolean
  readonly names: readonly string[]
}

async function tryOut(kube: Kube, { object, make, names }: Trial): Promise<void> {
  const known = acceptedBy(kube)
  const shape = shapeOf(object, names)
  const before = known.get(shape)
  if (before && before.until > performance.now()) {
    // Whoever is tried at the same moment may be refused for its names.
    const isFine = await before.tried.then(
      () => true,
      () => false,
    )
    if (isFine) return
  }
  const tried = kube.apply(object, { dryRun: true, make, force: !make })
  if (known.size >= memoryLimit) known.clear()
  known.set(shape, { tried, until: performance.now() + memoryMilliseconds })
  try {
    await tried
  } catch (error) {
    if (known.get(shape)?.tried === tried) known.delete(shape)
    throw error
  }
}

/** The object without the names of its own: many hosts differ by nothing else. */
function shapeOf(
  { apiVersion, kind, metadata, spec }: KubeObject,
  names: readonly string[],
): string {
  const own = [...names, metadata.name].toSorted((a, b) => b.length - a.length)
  const text = JSON.stringify([apiVersion, kind, metadata.namespace, spec])
  const bare = own.reduce((rest, name, at) => rest.replaceAll(name, `#${at}`), text)
  // The names of ports, and of a Secret, end in a hash of the host's name.
  return createHash('sha256')
    .update(bare.replaceAll(/-[0-9a-f]{8}"/g, '-#"'))
    .digest('base64')
}
