/** Things to stop, in the reverse of the order in which they were started. */
export type Stopping = {
  /** `name` tells an operator what it is that does not stop. */
  readonly add: (name: string, stop: () => Promise<unknown>) => void
  readonly stopAll: () => Promise<void>
  /** What is being stopped, if anything is. */
  readonly current: () => string | undefined
}

/** An empty list; a thing that fails to stop does not keep the others from it. */
function stopping(): Stopping {
  const stops: { readonly name: string; readonly stop: () => Promise<unknown> }[] = []
  let current: string | undefined
  return {
    add: (name, stop) => void stops.push({ name, stop }),
    current: () => current,
    stopAll: async () => {
      const failures: unknown[] = []
      for (let next = stops.pop(); next; next = stops.pop()) {
        current = next.name
        await next.stop().catch((error: unknown) => failures.push(error))
      }
      current = undefined
      if (failures.length === 0) return
      const reasons = failures.map((each) => (each instanceof Error ? each.message : String(each)))
      throw new AggregateError(failures, `not everything could be stopped: ${reasons.join('; ')}`)
    },
  }
}

/** Less than the half minute after which Kubernetes kills. */
const graceMilliseconds = 25_000

/** Runs `start`, then waits for Ctrl-C or SIGTERM and stops what it added; also when it throws. A second
 *  signal ends the process at once, and so does what has not stopped in time: others take up what it leaves. */
export async function runUntilSignal(
  start: (stops: Stopping, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stops = stopping()
  const abort = new AbortController()
  const signalled = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.on(name, () => {
        if (abort.signal.aborted) process.exit(130)
        abort.abort()
        resolve()
      })
    }
  })
  try {
    await start(stops, abort.signal)
    await signalled
  } catch (error) {
    if (!abort.signal.aborted) throw error
  } finally {
    const late = setTimeout(() => {
      const what = stops.current() ?? 'something that was begun'
      process.stderr.write(`Not all has stopped in time (${what}); ending all the same\n`)
      process.exit(1)
    }, graceMilliseconds)
    try {
      await stops.stopAll()
    } finally {
      // It still ends what something keeps from ending, but keeps nothing itself.
      late.unref()
    }
  }
}
