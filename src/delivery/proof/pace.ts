import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import type { PlacementRow } from '../gather.ts'

/** An ingress takes up what was applied in the order of time. So when many hosts are waited for and it is behind,
 *  one of them is asked for now and then, and the others when one that was applied later is served. */
type Pace = {
  /** Of what was seen to be served, when the last of it was applied. */
  servedTo: number
  /** When it was last seen to have got further, as dates go. */
  furtherAt: number
  /** When many were waited for last, as dates go. */
  crowdAt: number
  /** How many were asked for in vain since something was served that was applied later. */
  vain: number
  /** When one was asked for in vain last. */
  vainAt: number
  /** When anything of this was noted last. */
  notedAt: number
  /** Those that are asked for when it has got as far. */
  readonly waiting: Map<string, Of>
}

/** So many are asked for in vain before others wait. */
const patience = 8
/** One is asked for so often while others wait; how long nothing may have been asked for, until all of this is
 *  forgotten; and how long an ingress that is behind may take for its next step: istiod alone gathers changes for ten
 *  seconds (istio.md 1.6). In milliseconds. */
const scoutMilliseconds = 250
const memoryMilliseconds = 30_000
const stepMilliseconds = 20_000
const mostWaiting = 10_000

const paces = oncePer(() => new Map<string, Pace>())

type Of = Pick<PlacementRow, 'id' | 'clusterId' | 'ingress' | 'appliedAt'>

/** Whether the ingress has most likely not got as far as this placement yet. */
export function isBehind(ctx: Context, placement: Of): boolean {
  const { appliedAt } = placement
  const { servedTo, vain, vainAt } = paceOf(ctx, placement)
  if (appliedAt === null || appliedAt.getTime() <= servedTo || vain < patience) return false
  return performance.now() - vainAt < scoutMilliseconds
}

/** Whether the ingress has not got as far as this placement, one of many, and is seen to go on. */
export function isOnItsWay(ctx: Context, placement: Of): boolean {
  const { servedTo, furtherAt, crowdAt } = paceOf(ctx, placement)
  const isAhead = (placement.appliedAt?.getTime() ?? 0) > servedTo
  return isAhead && ctx.now().getTime() - Math.min(furtherAt, crowdAt) < stepMilliseconds
}

/** Notes that a placement is waited for until the ingress has got as far. */
export function noteWaiting(ctx: Context, placement: Of): void {
  const pace = paceOf(ctx, placement)
  const { waiting } = pace
  const { id, clusterId, ingress, appliedAt } = placement
  if (waiting.size < mostWaiting) waiting.set(id, { id, clusterId, ingress, appliedAt })
  if (waiting.size >= patience) pace.crowdAt = ctx.now().getTime()
}

/** Notes whether the ingress serves a placement; answers which of those that are waited for it most likely serves, too. */
export function noteServed(ctx: Context, placement: Of, served: boolean): readonly Of[] {
  const pace = paceOf(ctx, placement)
  const at = placement.appliedAt?.getTime() ?? 0
  pace.waiting.delete(placement.id)
  if (!served) {
    if (at <= pace.servedTo) return []
    pace.vain++
    pace.vainAt = performance.now()
    pace.notedAt = pace.vainAt
    return []
  }
  pace.notedAt = performance.now()
  if (at > pace.servedTo) pace.furtherAt = ctx.now().getTime()
  pace.servedTo = Math.max(pace.servedTo, at)
  pace.vain = 0
  const next = [...pace.waiting.values()].filter(
    ({ appliedAt }) => (appliedAt?.getTime() ?? 0) <= pace.servedTo,
  )
  for (const { id } of next) pace.waiting.delete(id)
  return next
}

function paceOf(ctx: Context, { clusterId, ingress }: Of): Pace {
  const all = paces(ctx)
  const name = `${clusterId}/${ingress}`
  const known = all.get(name)
  const now = performance.now()
  if (known && now - known.notedAt < memoryMilliseconds) return known
  const made = { ...fresh, vainAt: now, notedAt: now, waiting: new Map<string, Of>() }
  if (all.size >= 10_000) all.clear()
  all.set(name, made)
  return made
}

const fresh = { servedTo: 0, furtherAt: 0, crowdAt: 0, vain: 0 }
