/** Things to stop, in the reverse of the order in which they were started. */
export type Stopping = {
  readonly add: (stop: () => Promise<unknown>) => void
  readonly stopAll: () => Promise<void>
}

/** An empty list; a thing that fails to stop does not keep the others from it. */
function stopping(): Stopping {
  const stops: (() => Promise<unknown>)[] = []
  return {
    add: (stop) => void stops.push(stop),
    stopAll: async () => {
      const failures: unknown[] = []
      for (let stop = stops.pop(); stop; stop = stops.pop()) {
        await stop().catch((error: unknown) => failures.push(error))
      }
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
      process.stderr.write('Not all has stopped in time; ending all the same\n')
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
