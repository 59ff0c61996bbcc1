import type { Context } from '../core/context.ts'
import { oncePer } from '../core/onceper.ts'
import { seatsOf } from '../core/seats.ts'
import { Problem } from '../shared/problem.ts'

/** How much of what reaches out to clusters is under way at a time in a process: of one tenant's questions,
 *  and of the clusters that one of them asks. */
const most = { questions: 4, clusters: 8 } as const

const seats = oncePer(() => seatsOf({ all: Number.POSITIVE_INFINITY, each: most.questions }))

/** Does this for the tenant, unless four of its plans and probes are under way: throws busy. */
export async function fewAtOnce<T>(
  ctx: Context,
  tenantId: string,
  work: () => Promise<T>,
): Promise<T> {
  const leave = seats(ctx).take(tenantId)
  if (!leave) {
    const message = `${most.questions} plans and probes of this tenant are under way already; try again later`
    throw new Problem('busy', message, { retryAfterSeconds: 5 })
  }
  try {
    return await work()
  } finally {
    leave()
  }
}

/** Does this to each, eight at a time; the results in the order of the items. */
export async function inLanes<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results = new Map<number, R>()
  const queue = items.entries()
  const lane = async () => {
    for (const [index, item] of queue) results.set(index, await work(item))
  }
  await Promise.all(Array.from({ length: most.clusters }, lane))
  return [...results].toSorted(([a], [b]) => a - b).map(([, result]) => result)
}
