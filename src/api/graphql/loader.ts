import { setImmediate } from 'node:timers/promises'

/** Answers for one key out of a read for many. */
export type Load<T> = (key: string) => Promise<T | undefined>

/** Gathers the keys that are asked for in one turn of the event loop and reads them at once, each of
 *  them once: so a page of a hundred things costs as many statements as a page of one. For one
 *  request, whose actor `read` knows. */
export function loader<T>(
  read: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>,
): Load<T> {
  const answers = new Map<string, Promise<T | undefined>>()
  let waiting: string[] = []
  let batch: Promise<ReadonlyMap<string, T>> | undefined

  async function readWaiting(): Promise<ReadonlyMap<string, T>> {
    await setImmediate()
    const keys = waiting
    waiting = []
    batch = undefined
    return read(keys)
  }

  return (key) => {
    const known = answers.get(key)
    if (known) return known
    waiting.push(key)
    batch ??= readWaiting()
    const answer = batch.then((found) => found.get(key))
    answers.set(key, answer)
    return answer
  }
}
