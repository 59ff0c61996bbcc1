import { useSyncExternalStore } from 'react'

let now = new Date()

/** The time, as it goes on: told anew every half minute. */
export function useNow(): Date {
  return useSyncExternalStore(follow, () => now)
}

function follow(told: () => void): () => void {
  const timer = setInterval(() => {
    now = new Date()
    told()
  }, 30_000)
  return () => clearInterval(timer)
}
