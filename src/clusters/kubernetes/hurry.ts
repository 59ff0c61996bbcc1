import { AsyncLocalStorage } from 'node:async_hooks'

const hurried = new AsyncLocalStorage<true>()

/** Does this before whatever else a cluster is asked for meanwhile. */
export function hurriedly<T>(work: () => Promise<T>): Promise<T> {
  return hurried.run(true, work)
}

/** A gate that lets so many through at a time, and first those who are in a hurry. */
export function openGate(width: number) {
  const waiting: { readonly urgent: (() => void)[]; readonly usual: (() => void)[] } = {
    urgent: [],
    usual: [],
  }
  let inside = 0

  function leave(): void {
    const next = waiting.urgent.shift() ?? waiting.usual.shift()
    if (next) next()
    else inside--
  }

  /** Does the work when its turn has come. */
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (inside < width) inside++
    else {
      const line = hurried.getStore() ? waiting.urgent : waiting.usual
      await new Promise<void>((resolve) => line.push(resolve))
    }
    try {
      return await work()
    } finally {
      leave()
    }
  }
}
