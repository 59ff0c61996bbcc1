import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as wait } from 'node:timers/promises'

/** For what a cluster is asked. */
export type Errand = {
  /** Before whatever else the cluster is asked for meanwhile. */
  readonly urgent: boolean
  /** While it is under way nothing begins that is not urgent, and no cluster is asked for such: whatever runs on the
   *  machine has time for this alone. */
  readonly alone?: boolean
  /** What was seen from then on will do: when it became due (performance.now()). */
  readonly since: number
  /** Aborted when it is to be left unfinished: then no cluster is asked anything more, nor waited for. */
  readonly over?: AbortSignal
}

/** The errand is left unfinished, since whoever is on it ends. It says nothing about a cluster. */
export class ErrandOver extends Error {
  override readonly name = 'ErrandOver'

  constructor() {
    super('whoever asked the cluster ends')
  }
}

/** An errand that has begun: its number is greater than those of errands that began before. */
type Begun = Errand & { readonly number: number }

const errands = new AsyncLocalStorage<Begun>()
let number = 0

/** How long one errand may have others wait, and how long others wait in all: a cluster may be slow, or be told of
 *  revocations without end. In milliseconds. */
const aloneMilliseconds = 1_000
const heldMilliseconds = 1_500
/** Others wait so much longer: what was alone makes the next such thing due, as lists that are published are then brought to
 *  clusters. */
const lingerMilliseconds = 100

/** The errands that have others wait. */
const alone = new Set<Errand>()
let calm = Promise.withResolvers<void>()

/** Does this on an errand, when its turn has come. */
export function onErrand<T>(errand: Errand, work: () => Promise<T>): Promise<T> {
  return errands.run({ ...errand, number: ++number }, async () => {
    if (errand.alone) return aside(errand, work)
    await othersFirst()
    return work()
  })
}

async function aside<T>(errand: Errand, work: () => Promise<T>): Promise<T> {
  alone.add(errand)
  const end = () => {
    if (!alone.delete(errand) || alone.size > 0) return
    calm.resolve()
    calm = Promise.withResolvers()
  }
  const timer = setTimeout(end, aloneMilliseconds)
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    if (alone.has(errand)) setTimeout(end, lingerMilliseconds)
  }
}

/** Waits while others are to be alone, if this is not urgent itself. */
async function othersFirst(): Promise<void> {
  if (alone.size === 0 || isUrgent()) return
  const over = new AbortController()
  const late = wait(heldMilliseconds, undefined, { signal: over.signal }).catch(() => undefined)
  await Promise.race([calm.promise, late])
  over.abort()
}

/** Asks a cluster for something whose answer several share. Whoever comes to it later may be urgent, so it goes before
 *  others even where the first who asks is not. */
export function askForAll<T>(ask: () => Promise<T>): Promise<T> {
  const errand = errands.getStore() ?? { since: performance.now(), number: 0 }
  return errands.run({ ...errand, urgent: true, alone: false }, ask)
}

/** From when on what was seen will do for what is being done: from now on, unless that is on an errand. */
export function seenSince(): number {
  return errands.getStore()?.since ?? performance.now()
}

/** What is left unfinished when this is aborted; undefined: what is on no errand, or on one that is finished anyway. */
export function errandOver(): AbortSignal | undefined {
  return errands.getStore()?.over
}

/** Whether what is being done goes before whatever else the cluster is asked for. */
export function isUrgent(): boolean {
  return errands.getStore()?.urgent === true
}

/** istiod gathers changes until none has come for a tenth of a second, and for ten at most (istio.md 1.6). So after
 *  an urgent change others are held back for a moment, and then have as long before they are again; an urgent change
 *  that comes meanwhile has its moment after that. In milliseconds. */
const quietMilliseconds = 250
const quietEvery = 500

/** A gate that lets so many requests through at a time, and first those on an urgent errand. Of the others reads and
 *  changes take turns, and of changes those of the errand that began first: so of many errands that begin together
 *  some end early, others begin, and a cluster has changes all the time. In each pause between waves of changes istiod
 *  would push all that it has to every gateway. */
export function openGate(width: number) {
  const waiting: Readonly<Record<'urgent' | 'reads' | 'changes', Waiting[]>> = {
    urgent: [],
    reads: [],
    changes: [],
  }
  let isChangeNext = true
  let inside = 0
  let quietUntil = Number.NEGATIVE_INFINITY
  let isComing = false

  function nextUsual(): Waiting | undefined {
    const { reads, changes } = waiting
    const mayChange = changes.length > 0 && performance.now() >= quietUntil
    const isChange = mayChange && (isChangeNext || reads.length === 0)
    isChangeNext = !isChange
    return (isChange ? changes : reads).shift()
  }

  /** Lets in whoever may go now. */
  function open(): void {
    while (inside < width) {
      const next = waiting.urgent.shift() ?? nextUsual()
      if (!next) return
      inside++
      next.go()
    }
  }

  function beQuiet(): void {
    const now = performance.now()
    const next = quietUntil - quietMilliseconds + quietEvery
    if (now < next) {
      if (isComing) return
      isComing = true
      setTimeout(() => {
        isComing = false
        beQuiet()
      }, next - now)
      return
    }
    quietUntil = now + quietMilliseconds
    setTimeout(open, quietMilliseconds + 1)
  }

  /** Does the work when its turn has come. */
  return async <T>(isChange: boolean, work: () => Promise<T>): Promise<T> => {
    const urgent = isUrgent()
    await othersFirst()
    await new Promise<void>((go) => {
      const order = errands.getStore()?.number ?? 0
      if (urgent) waiting.urgent.push({ order, go })
      else if (isChange) inOrder(waiting.changes, { order, go })
      else waiting.reads.push({ order, go })
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

type Waiting = { readonly order: number; readonly go: () => void }

/** Puts one among others after those that come before it. */
function inOrder(waiting: Waiting[], one: Waiting): void {
  const at = waiting.findLastIndex(({ order }) => order <= one.order)
  waiting.splice(at + 1, 0, one)
}
