import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import type { PlacementRow } from '../gather.ts'

/** An ingress takes up what was applied in the order of time. So when many hosts are waited for and it is behind,
 *  one of them is asked for now and then, and the others when one that was applied later is served. */
type Pace = {
  /** Of what was seen to be served, when the last of it was applied. */
  servedTo: number
  /** When it was last seen to have got further. */
  furtherAt: number
  /** When many were waited for last. */
  crowdAt: number
  /** How many were asked for in vain since something was served that was applied later. */
  vain: number
  /** When one that was applied later than all that are served was asked for last, or in vain. */
  askedAt: number
  /** When one that was applied later than all that are served is asked for. */
  scoutAt: number
  /** When anything of this was noted last. */
  notedAt: number
  /** Those that are asked for when it has got as far. */
  readonly waiting: Map<string, Of>
}

/** So many are asked for in vain before others wait. */
const patience = 8
/** While others wait one is asked for so often, of those between what is served and what was applied last; and so often the
 *  one that was applied last. How long nothing may have been asked for, until all of this is forgotten; and how long
 *  an ingress that is behind may take for its next step: istiod alone gathers changes for ten seconds (istio.md
 *  1.6). In milliseconds. */
const scoutMilliseconds = { any: 250, last: 1_000 } as const
const memoryMilliseconds = 30_000
const stepMilliseconds = 20_000
const mostWaiting = 10_000
/** So long one waits at most before it is asked for. */
const waitMilliseconds = 10_000

const paces = oncePer(() => new Map<string, Pace>())

type Of = Pick<PlacementRow, 'id' | 'clusterId' | 'ingress' | 'appliedAt'>

/** Until when a placement waits at most, since the ingress has most likely not got as far yet; undefined: it is to be asked
 *  for now. */
export function waitUntil(ctx: Context, placement: Of): Date | undefined {
  const { servedTo, vain, askedAt } = paceOf(ctx, placement)
  const now = ctx.now().getTime()
  const isBehind = appliedAtOf(placement) > servedTo && vain >= patience
  if (!isBehind || now - askedAt >= scoutMilliseconds.any) return undefined
  return new Date(now + waitMilliseconds)
}

/** Notes that a placement is asked for. */
export function noteAsked(ctx: Context, placement: Of): void {
  const pace = paceOf(ctx, placement)
  if (appliedAtOf(placement) > pace.servedTo) pace.askedAt = ctx.now().getTime()
}

/** Whether the ingress has not got as far as this placement, one of many, and is seen to go on. */
export function isOnItsWay(ctx: Context, placement: Of): boolean {
  const { servedTo, furtherAt, crowdAt } = paceOf(ctx, placement)
  const isAhead = appliedAtOf(placement) > servedTo
  return isAhead && ctx.now().getTime() - Math.min(furtherAt, crowdAt) < stepMilliseconds
}

/** Notes that a placement that is stored as applied is asked for as soon as one is served that was applied later. */
export function noteWaiting(ctx: Context, placement: Of): void {
  const pace = paceOf(ctx, placement)
  const { waiting } = pace
  const { id, clusterId, ingress, appliedAt } = placement
  if (waiting.size < mostWaiting) waiting.set(id, { id, clusterId, ingress, appliedAt })
  if (waiting.size >= patience) pace.crowdAt = ctx.now().getTime()
}

/** One that is to be asked for, and when. */
type Next = { readonly placement: Of; readonly at: Date }

/** Notes whether the ingress serves a placement; answers which of those that are waited for it most likely serves, too,
 *  and now and then the one of the others that was applied last: the ingress may have got that far, and nobody
 *  else would find out. */
export function noteServed(ctx: Context, placement: Of, served: boolean): readonly Next[] {
  const pace = paceOf(ctx, placement)
  const at = appliedAtOf(placement)
  const now = ctx.now()
  pace.waiting.delete(placement.id)
  if (!served) {
    if (at <= pace.servedTo) return []
    pace.vain++
    pace.askedAt = now.getTime()
    pace.notedAt = now.getTime()
    return []
  }
  pace.notedAt = now.getTime()
  if (at > pace.servedTo) pace.furtherAt = now.getTime()
  pace.servedTo = Math.max(pace.servedTo, at)
  pace.vain = 0
  const next = [...pace.waiting.values()].filter((each) => appliedAtOf(each) <= pace.servedTo)
  for (const { id } of next) pace.waiting.delete(id)
  const scout = scoutOf(pace, now.getTime())
  return [...next.map((each) => ({ placement: each, at: now })), ...(scout ? [scout] : [])]
}

function scoutOf(pace: Pace, now: number): Next | undefined {
  if (pace.scoutAt > now) return undefined
  const [last] = [...pace.waiting.values()].toSorted((a, b) => appliedAtOf(b) - appliedAtOf(a))
  if (!last) return undefined
  pace.waiting.delete(last.id)
  pace.scoutAt = Math.max(now, pace.scoutAt + scoutMilliseconds.last)
  return { placement: last, at: new Date(pace.scoutAt) }
}

function appliedAtOf({ appliedAt }: Of): number {
  return appliedAt?.getTime() ?? 0
}

function paceOf(ctx: Context, { clusterId, ingress }: Of): Pace {
  const all = paces(ctx)
  const name = `${clusterId}/${ingress}`
  const known = all.get(name)
  const now = ctx.now().getTime()
  if (known && now - known.notedAt < memoryMilliseconds) return known
  const made = { ...fresh, askedAt: now, notedAt: now, waiting: new Map<string, Of>() }
  if (all.size >= 10_000) all.clear()
  all.set(name, made)
  return made
}

const fresh = { servedTo: 0, furtherAt: 0, crowdAt: 0, vain: 0, scoutAt: 0 }
