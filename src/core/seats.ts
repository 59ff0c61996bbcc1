/** How many may stay at once: of all, and of each. */
export type Seats = {
  /** Takes a seat for `who` and answers how to leave it; undefined when none is free. */
  readonly take: (who: string) => (() => void) | undefined
}

/** Seats for those who stay for a while, so that neither many nor one take a process from the others. */
export function seatsOf({ all, each }: { readonly all: number; readonly each: number }): Seats {
  const taken = new Map<string, number>()
  let total = 0
  return {
    take(who) {
      const own = taken.get(who) ?? 0
      if (total >= all || own >= each) return undefined
      taken.set(who, own + 1)
      total++
      let left = false
      return () => {
        if (left) return
        left = true
        total--
        const now = (taken.get(who) ?? 1) - 1
        if (now > 0) taken.set(who, now)
        else taken.delete(who)
      }
    },
  }
}
