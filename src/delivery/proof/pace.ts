import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import type { PlacementRow } from '../gather.ts'

/** An ingress takes up what was applied in the order of time. So when many hosts are waited for and it is behind,
 *  one of them is asked for now and then, and the others when that one is served. */
type Pace = {
  /** Of what was seen to be served, when the last of it was applied. */
  servedTo: number
  /** How many were asked for in vain since something was served that was applied later. */
  vain: number
  /** When one was asked for in vain last. */
  vainAt: number
}

/** So many are asked for in vain before others wait. */
const patience = 8
/** One is asked for so often while others wait; and how long nothing may have been asked for, until all of this is
 *  forgotten. In milliseconds. */
const scoutMilliseconds = 250
const memoryMilliseconds = 10_000

const paces = oncePer(() => new Map<string, Pace>())

type Of = Pick<PlacementRow, 'clusterId' | 'ingress' | 'appliedAt'>

/** Whether the ingress has most likely not got as far as this placement yet. */
export function isBehind(ctx: Context, placement: Of): boolean {
  const { appliedAt } = placement
  const { servedTo, vain, vainAt } = paceOf(ctx, placement)
  if (appliedAt === null || appliedAt.getTime() <= servedTo || vain < patience) return false
  return performance.now() - vainAt < scoutMilliseconds
}

/** Notes whether the ingress serves a placement. */
export function noteServed(ctx: Context, placement: Of, served: boolean): void {
  const pace = paceOf(ctx, placement)
  const at = placement.appliedAt?.getTime() ?? 0
  if (served) {
    pace.servedTo = Math.max(pace.servedTo, at)
    pace.vain = 0
  } else if (at > pace.servedTo) {
    pace.vain++
    pace.vainAt = performance.now()
  }
}

function paceOf(ctx: Context, { clusterId, ingress }: Of): Pace {
  const all = paces(ctx)
  const name = `${clusterId}/${ingress}`
  const known = all.get(name)
  if (known && performance.now() - known.vainAt < memoryMilliseconds) return known
  const made = { servedTo: 0, vain: 0, vainAt: performance.now() }
  if (all.size >= 10_000) all.clear()
  all.set(name, made)
  return made
}
