import Type from 'typebox'
import type { Drift as Policy } from '../../clusters/cluster.ts'
import { isSameObject, type KubeRef } from '../../clusters/kubernetes/kinds.ts'
import { conforms } from '../../shared/shape.ts'
import { type ObjectDrift, sentenceOf } from './difference.ts'

/** How often an object was put right lately, and when last: with a placement. */
const Repair = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  namespace: Type.String(),
  name: Type.String(),
  times: Type.Integer(),
  at: Type.String(),
})
export type Repair = Type.Static<typeof Repair>

/** What is done about drift. */
export type Decision = {
  /** Put right now. */
  readonly repaired: readonly ObjectDrift[]
  /** Left as it is for now. */
  readonly held: readonly ObjectDrift[]
  /** Why, in a sentence; null where nothing is held. */
  readonly message: string | null
  /** What others do again and again. */
  readonly warnings: readonly string[]
  /** When what is held may be put right; undefined: when somebody says so. */
  readonly againAt: Date | undefined
  /** To be stored. */
  readonly repairs: readonly Repair[]
}

/** An object that was left alone for so long is put right at once again, in milliseconds. */
const quietMilliseconds = 15 * 60_000
const longestMilliseconds = 5 * 60_000
/** From so many repairs on the host says who it is. */
const manyTimes = 3

const Repairs = Type.Array(Repair)

/** The repairs that are stored with a placement; what another release stored is forgotten. */
export function repairsIn(stored: unknown): readonly Repair[] {
  return conforms(Repairs, stored) ? stored : []
}

/** Puts right at once what differs; what is changed again and again, later and later, so that two who want
 *  different things do not write all day. With `report` nothing is overwritten until somebody asks for it. */
export function decide({
  policy,
  insisted,
  drift,
  repairs,
  now,
}: {
  readonly policy: Policy
  readonly insisted: boolean
  readonly drift: readonly ObjectDrift[]
  readonly repairs: readonly Repair[]
  readonly now: Date
}): Decision {
  const kept = repairs.filter(({ at }) => now.getTime() - Date.parse(at) < quietMilliseconds)
  const before = (ref: KubeRef) => kept.find((each) => isSameObject(each, ref))
  const due = (ref: KubeRef) => {
    const last = before(ref)
    return last && !insisted ? Date.parse(last.at) + pause(last.times) : 0
  }
  const reported = policy === 'report' && !insisted
  const held = drift.filter(({ ref }) => reported || due(ref) > now.getTime())
  const repaired = drift.filter((each) => !held.includes(each))
  const next = repaired.map(({ ref }) => ({
    ...ref,
    times: (before(ref)?.times ?? 0) + 1,
    at: now.toISOString(),
  }))
  const others = kept.filter((each) => !next.some((one) => isSameObject(one, each)))
  const often = repaired.filter(({ ref }) => (before(ref)?.times ?? 0) + 1 >= manyTimes)
  const sentences = held.map(sentenceOf)
  return {
    repaired,
    held,
    message: sentences.length === 0 ? null : `${sentences.join('. ')}. ${whyHeld(reported)}`,
    warnings: often.map(
      (each) =>
        `${sentenceOf(each)}; put right ${(before(each.ref)?.times ?? 0) + 1} times within a quarter of an hour`,
    ),
    againAt:
      held.length === 0 || reported
        ? undefined
        : new Date(Math.min(...held.map(({ ref }) => due(ref)))),
    repairs: [...others, ...next],
  }
}

function whyHeld(reported: boolean): string {
  return reported
    ? 'The cluster is registered with drift: report, so nothing is overwritten until the host is put again or the cluster synced'
    : 'It is changed again and again, and is put right later and later'
}

/** 1 s after the first repair, then twice as long each time. */
function pause(times: number): number {
  return Math.min(longestMilliseconds, 1000 * 2 ** (times - 1))
}
