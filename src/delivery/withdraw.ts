import { record } from '../audit/record.ts'
import { placeText } from '../clusters/cluster.ts'
import { ingressOf } from '../clusters/find.ts'
import { isSameObject, type KubeRef } from '../clusters/kubernetes/kinds.ts'
import { type Kube, KubeError } from '../clusters/kubernetes/kube.ts'
import { openCluster } from '../clusters/kubernetes/open.ts'
import { holdSilent, noteUnanswered, silenceOf } from '../clusters/silence.ts'
import { systemActor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { CompleteSpec, namesOf } from '../hosts/host.ts'
import { recordedRefs } from '../hosts/objects.ts'
import { shownJson } from '../shared/view.ts'
import { rendererOf } from './compare.ts'
import type { PlacementRow } from './gather.ts'
import { observe } from './observe.ts'
import { dueAgain, holdHost } from './outcome/settle.ts'
import { isSecret, plan } from './plan.ts'
import { whyFrozen } from './proof/frozen.ts'
import { stopped } from './proof/verify.ts'

/** How long the ingress is waited for at a time, and in all until it is said that it goes on. */
const timeoutMilliseconds = { look: 500, all: 15_000 } as const

/** Takes a host off a cluster: what routes to it, then what serves it, and the Secret only when nobody
 *  serves it any more, since an ingress goes on with what it has (istio.md 1.6). Then the placement
 *  goes, and with the last one the host. From a silent cluster nothing is taken until it answers. Throws
 *  when the cluster cannot be asked just now. */
export async function removeObjects(ctx: Context, placement: PlacementRow): Promise<void> {
  const silence = silenceOf(placement.cluster)
  if (silence !== null) return note(ctx, placement, { message: silence, silent: true })
  try {
    const kube = await openCluster(ctx, placement.clusterId)
    const refs = await present(ctx, kube, placement)
    for (const ref of refs.filter((ref) => !isSecret(ref))) await kube.remove(ref)
    const { stopped, unanswered } = await isStopped(placement)
    if (unanswered) await noteUnanswered(ctx, placement.clusterId)
    if (!stopped) return await stillServed(ctx, placement)
    for (const ref of refs.filter(isSecret)) await kube.remove(ref)
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    await note(ctx, placement, { message: `Cannot be taken off: ${error.message}` })
    if (error.fault === 'unreachable') await noteUnanswered(ctx, placement.clusterId)
    throw error
  }
  await forget(ctx, placement)
}

/** What carries the host by another ingress of the cluster, too: the Secret of a PASSTHROUGH backend. */
async function sharedRefs(
  tx: Tx,
  { id, hostId, clusterId }: PlacementRow,
): Promise<readonly KubeRef[]> {
  const others = await tx.placement.findMany({
    where: { hostId, clusterId, wanted: true, id: { not: id } },
    select: { objects: true },
  })
  return others.flatMap(({ objects }) => recordedRefs(objects))
}

/** Our objects that are there, in the order in which they may go. */
async function present(
  ctx: Context,
  kube: Kube,
  placement: PlacementRow,
): Promise<readonly KubeRef[]> {
  const shared = await sharedRefs(ctx.db.read, placement)
  const own = recordedRefs(placement.objects).filter(
    (ref) => !shared.some((each) => isSameObject(each, ref)),
  )
  const observed = await observe(kube, own)
  const { hostId } = placement
  const order = rendererOf(placement.cluster).kinds
  const steps = plan({ hostId, order, desired: [], observed, recorded: own })
  return steps.map(({ ref }) => ref)
}

async function isStopped({ host, cluster, ingress }: PlacementRow): ReturnType<typeof stopped> {
  const der = host.certificate?.der
  const { address } = ingressOf(cluster, ingress)
  const names = der ? namesOf(host.name, shownJson(CompleteSpec, host.spec)) : []
  const end = performance.now() + timeoutMilliseconds.look
  for (const hostname of names) {
    const expected = { address, hostname, der: Buffer.from(der ?? []) }
    const found = await stopped(expected, end - performance.now())
    if (!found.stopped || found.unanswered) return found
  }
  return { stopped: true, unanswered: false }
}

/** Others are not held up while it is waited for. */
async function stillServed(ctx: Context, placement: PlacementRow): Promise<void> {
  const now = ctx.now().getTime()
  const late = now - placement.since.getTime() > timeoutMilliseconds.all
  if (late) {
    const still = 'The ingress still serves the host although its Gateway is gone'
    const frozen = await whyFrozen(ctx, placement)
    const message = frozen === null ? still : `${still}. ${frozen}`
    await note(ctx, placement, { message })
  }
  const at = new Date(now + (late ? 15_000 : 500))
  await ctx.db.transaction((tx) => dueAgain(tx, placement, at))
}

async function note(
  ctx: Context,
  placement: PlacementRow,
  { message, silent = false }: { readonly message: string; readonly silent?: boolean },
): Promise<void> {
  const { id, status, clusterId } = placement
  const since = status === 'Failed' ? placement.since : ctx.now()
  const data = { status: 'Failed', message: message.slice(0, 2000), since }
  await ctx.db.transaction(async (tx) => {
    if (silent && !(await holdSilent(tx, clusterId))) return dueAgain(tx, placement, ctx.now())
    await tx.placement.updateMany({ where: { id, wanted: false }, data })
  })
}

async function forget(ctx: Context, { id, host, cluster, ingress }: PlacementRow): Promise<void> {
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    await holdHost(tx, host)
    const { count } = await tx.placement.deleteMany({ where: { id, wanted: false } })
    // Wanted again meanwhile: whoever said so has made the next push due.
    if (count === 0) return
    await record(tx, { actor: systemActor('placement.push'), now }, 'host.withdrawn', {
      subject: { kind: 'host', id: host.id, name: host.name, tenantId: host.tenantId },
      changes: { cluster: placeText({ cluster: cluster.name, ingress }) },
    })
    await forgetHost(tx, host.id)
  })
}

/** The row of a removed host goes with its last placement. */
async function forgetHost(tx: Tx, id: string): Promise<void> {
  await tx.host.deleteMany({ where: { id, removedAt: { not: null }, placements: { none: {} } } })
}
