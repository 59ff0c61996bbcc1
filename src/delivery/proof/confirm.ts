import { noteAnswered, noteUnanswered } from '../../clusters/silence.ts'
import type { Context } from '../../core/context.ts'
import { specOf } from '../../hosts/find.ts'
import { type PlacementRow, readPlacement } from '../gather.ts'
import { propagation, settle } from '../outcome/settle.ts'
import { dueNext } from '../outcome/store.ts'
import { whyFrozen, whyNotTaken } from './frozen.ts'
import { isOnItsWay, noteAsked, noteServed, noteWaiting, waitUntil } from './pace.ts'
import { type Proof, prove } from './prove.ts'

/** How long the ingress is waited for at a time; and the pause before it is asked again after a change, which
 *  grows with the time since. */
const lookMilliseconds = 1_000
const pauseMilliseconds = { least: 250, most: 4_000 } as const
/** How long an ingress that goes on taking up what was applied before is waited for in all. */
const patienceMilliseconds = 180_000

/** Sees whether the ingress serves a host as it was pushed, and says so: Synced, or why not. After a change it
 *  is given time: then this is due again and again, and holds no slot meanwhile. */
export async function confirmPlacement(
  ctx: Context,
  { placementId }: { readonly placementId: string },
): Promise<void> {
  const placement = await readPlacement(ctx, placementId)
  const certificate = placement?.host.certificate
  if (!placement?.wanted || !certificate?.der) return
  // Whatever else it is has a push under way.
  if (placement.status !== 'Applied' && placement.status !== 'Synced') return
  const age = placement.appliedAt && ctx.now().getTime() - placement.appliedAt.getTime()
  const patience = isOnItsWay(ctx, placement) ? patienceMilliseconds : propagation
  const isRecent = age !== null && age < patience
  const at = waitUntil(ctx, placement)
  if (isRecent && at) return standBy(ctx, placement, at)
  noteAsked(ctx, placement)
  const timeoutMilliseconds = lookMilliseconds
  const proof = await prove(ctx, { placement, certificate, timeoutMilliseconds })
  if (proof.unanswered) await noteUnanswered(ctx, placement.clusterId)
  else await noteAnswered(ctx, placement.cluster)
  const next = noteServed(ctx, placement, proof.fault === null)
  await Promise.all(next.map((each) => dueNext(ctx, { kind: 'placement.confirm', ...each })))
  if (proof.fault !== null && !proof.unanswered && isRecent) return again(ctx, placement, age)
  const reasons =
    proof.fault === null
      ? []
      : await Promise.all([whyFrozen(ctx, placement), whyNotTaken(ctx, placement)])
  const why = reasons.flatMap((each) => each ?? [])
  await settle(ctx, placement, verdict(placement, proof, why))
}

/** It was asked for in vain. */
async function again(ctx: Context, placement: PlacementRow, age: number): Promise<void> {
  const { least, most } = pauseMilliseconds
  const pause = Math.min(Math.max(age / 2, least), most)
  await later(ctx, placement, new Date(ctx.now().getTime() + pause))
}

/** Others are asked for, and it is when one of them is served. */
async function standBy(ctx: Context, placement: PlacementRow, at: Date): Promise<void> {
  noteWaiting(ctx, placement)
  await later(ctx, placement, at)
}

async function later(ctx: Context, placement: PlacementRow, at: Date): Promise<void> {
  await dueNext(ctx, { kind: 'placement.confirm', placement, at })
}

/** Synced only when what is served is what was issued, and who is to be let in is. */
function verdict(
  { host }: PlacementRow,
  { fault, until, warnings: proofWarnings }: Proof,
  why: readonly string[],
) {
  if (fault === null) return { status: 'Synced', message: null, until, proofWarnings } as const
  // The workload takes up its Secret in its own time: kubelet alone may need a minute.
  const againAfterSeconds = specOf(host).tls.mode === 'PASSTHROUGH' ? 15 : 60
  const unproved = true
  const message = [...why, fault].join('. ')
  return { status: 'Applied', message, unproved, proofWarnings, againAfterSeconds } as const
}
