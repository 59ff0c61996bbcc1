import { AsyncLocalStorage } from 'node:async_hooks'

/** For what a cluster is asked. */
export type Errand = {
  /** Before whatever else the cluster is asked for meanwhile. */
  readonly urgent: boolean
  /** What was seen from then on will do: when it became due (performance.now()). */
  readonly since: number
}

const errands = new AsyncLocalStorage<Errand>()

/** Does this on an errand. */
export function onErrand<T>(errand: Errand, work: () => Promise<T>): Promise<T> {
  return errands.run(errand, work)
}

/** From when on what was seen will do for what is being done: from now on, unless that is on an errand. */
export function seenSince(): number {
  return errands.getStore()?.since ?? performance.now()
}

/** A gate that lets so many through at a time, and first those on an urgent errand. */
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
      const line = errands.getStore()?.urgent ? waiting.urgent : waiting.usual
      await new Promise<void>((resolve) => line.push(resolve))
    }
    try {
      return await work()
    } finally {
      leave()
    }
  }
}
