import { setTimeout as wait } from 'node:timers/promises'
import { outsideTraces } from '../tracing.ts'

/** Group commit: calls that come while the work for earlier ones is under way wait and are worked off
 *  together, so that many requests share one statement and one fsync. `work` answers for each item, in
 *  order; when it throws, all of its items fail. At most `size` items go together, and `lanes` groups
 *  at once; in a lane a group begins `milliseconds` after the one before at the earliest, so that where nobody
 *  waits for the answer more go together. */
export function batched<Item, Answer>(
  work: (items: readonly Item[]) => Promise<readonly Answer[]>,
  { size, lanes, milliseconds = 0 }: { size: number; lanes: number; milliseconds?: number },
): (item: Item) => Promise<Answer> {
  type Waiting = {
    readonly item: Item
    readonly resolve: (answer: Answer) => void
    readonly reject: (error: unknown) => void
  }
  const waiting: Waiting[] = []
  let busy = 0
  let last = Number.NEGATIVE_INFINITY

  async function lane(): Promise<void> {
    busy++
    while (waiting.length > 0) {
      const pause = last + milliseconds - performance.now()
      if (pause > 0) await wait(pause)
      last = performance.now()
      await workOff(waiting.splice(0, size))
    }
    busy--
  }

  async function workOff(group: readonly Waiting[]): Promise<void> {
    try {
      const answers = await work(group.map(({ item }) => item))
      for (const [index, { resolve, reject }] of group.entries()) {
        const answer = answers[index]
        if (index < answers.length && answer !== undefined) resolve(answer)
        else reject(new Error('a batch answered for fewer items than it was given'))
      }
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      // One turn of the event loop gathers what arrived together.
      if (busy < lanes) setImmediate(() => (busy < lanes ? void outsideTraces(lane) : undefined))
    })
}

/** Reads of rows by a key, gathered in the same way: requests that ask in the same moment share one
 *  statement. Nothing is kept, so every answer is as fresh as a read of one's own. */
export function batchedReads<Row>(
  read: (keys: string[]) => Promise<readonly Row[]>,
  keyOf: (row: Row) => string,
): (key: string) => Promise<Row | null> {
  return batched(
    async (keys: readonly string[]) => {
      const rows = await read([...new Set(keys)])
      const byKey = new Map(rows.map((row) => [keyOf(row), row]))
      return keys.map((key) => byKey.get(key) ?? null)
    },
    { size: 500, lanes: 3 },
  )
}
