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

/** Whether what is being done goes before whatever else the cluster is asked for. */
export function isUrgent(): boolean {
  return errands.getStore()?.urgent === true
}

/** istiod gathers changes until none has come for a tenth of a second, and for ten at most (istio.md 1.6). So after
 *  an urgent change others are held back for a moment, but not again and again. In milliseconds. */
const quietMilliseconds = 250
const quietEvery = 1_000

/** A gate that lets so many requests through at a time, and first those on an urgent errand. */
export function openGate(width: number) {
  type Waiting = { readonly isChange: boolean; readonly go: () => void }
  const waiting: { readonly urgent: Waiting[]; readonly usual: Waiting[] } = {
    urgent: [],
    usual: [],
  }
  let inside = 0
  let quietUntil = 0

  function isHeld(isChange: boolean): boolean {
    return isChange && performance.now() < quietUntil
  }

  /** Lets in whoever may go now. */
  function open(): void {
    while (inside < width) {
      const free = waiting.usual.findIndex(({ isChange }) => !isHeld(isChange))
      const [next] =
        waiting.urgent.length > 0
          ? waiting.urgent.splice(0, 1)
          : waiting.usual.splice(free, free < 0 ? 0 : 1)
      if (!next) return
      inside++
      next.go()
    }
  }

  function beQuiet(): void {
    const now = performance.now()
    if (now < quietUntil - quietMilliseconds + quietEvery) return
    quietUntil = now + quietMilliseconds
    setTimeout(open, quietMilliseconds + 1)
  }

  /** Does the work when its turn has come. */
  return async <T>(isChange: boolean, work: () => Promise<T>): Promise<T> => {
    const urgent = isUrgent()
    await new Promise<void>((go) => {
      waiting[urgent ? 'urgent' : 'usual'].push({ isChange, go })
      open()
    })
    try {
      return await work()
    } finally {
      inside--
      if (urgent && isChange) beQuiet()
      open()
    }
  }
}
