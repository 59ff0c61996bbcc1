/** Something to wait for again and again. */
export type Bell = {
  readonly ring: () => void
  /** Resolves when it has rung since this was last called, or when `signal` is aborted. */
  readonly rung: (signal?: AbortSignal) => Promise<void>
}

/** A bell that has not rung yet. One may wait for it at a time. */
export function openBell(): Bell {
  let pending = false
  let wake: (() => void) | undefined
  return {
    ring: () => {
      pending = true
      wake?.()
    },
    rung: (signal) =>
      new Promise<void>((resolve) => {
        const done = () => {
          wake = undefined
          signal?.removeEventListener('abort', done)
          pending = false
          resolve()
        }
        if (pending || signal?.aborted) return done()
        wake = done
        signal?.addEventListener('abort', done)
      }),
  }
}
