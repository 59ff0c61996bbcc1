// What work costs, by measures that neither a slow machine nor a busy one changes: one piece of work is held
// against another that is done in turns with it, each by the least of many short runs. What stops a process now
// and then does not stop it in all of them.

/** It is tried again until neither has got cheaper for so many times. */
const tries = { least: 20, most: 200 } as const
/** A run is short enough to be let through whole, and long enough for a clock. */
const leastMilliseconds = 1

/** How many times as much `work` costs as `other`. */
export function cost(work: () => unknown, other: () => unknown): number {
  const both = [work, other].map((each) => ({ each, count: countFor(each) }))
  const least = both.map(() => Number.POSITIVE_INFINITY)
  let same = 0
  for (let n = 0; n < tries.most && same < tries.least; n++) {
    same++
    for (const [index, { each, count }] of both.entries()) {
      const before = least[index] ?? 0
      const now = taken(each, count) / count
      if (now < 0.95 * before) same = 0
      least[index] = Math.min(before, now)
    }
  }
  const [of = 0, to = 0] = least
  return of / to
}

/** How much more something of `times` the size costs than `times` things of size one: 1 when the cost is linear,
 *  `times` when it is quadratic. */
export function growth<T>(
  { small, large, times }: { readonly small: T; readonly large: T; readonly times: number },
  work: (size: T) => unknown,
): number {
  return (
    cost(
      () => work(large),
      () => work(small),
    ) / times
  )
}

function countFor(work: () => unknown): number {
  let count = 1
  while (taken(work, count) < leastMilliseconds) count *= 2
  return count
}

function taken(work: () => unknown, count: number): number {
  const before = performance.now()
  for (let n = 0; n < count; n++) work()
  return performance.now() - before
}
