/** Whether one more request may be made, and how many more. */
export type RateVerdict = {
  readonly allowed: boolean
  /** Requests a minute. */
  readonly limit: number
  readonly remaining: number
  /** Until all of the limit is there again; until the next request is, when this one is refused. */
  readonly resetSeconds: number
}

/** Counts requests of many at so many a minute each: `take` counts one, `look` only tells. */
export type Meter = {
  readonly take: (who: string, now: number) => RateVerdict
  readonly look: (who: string, now: number) => RateVerdict
}

const minute = 60_000
/** How many are remembered, and how many of them are left when there are more. */
const most = 50_000
const left = 45_000

/** A meter in memory, by the generic cell rate algorithm (ITU-T I.371, a leaky bucket): the whole
 *  limit may be used at once, and comes back evenly within a minute. */
export function meterOf(limit: number): Meter {
  const cost = minute / limit
  // When the bucket of each is full again, in milliseconds.
  const fullAt = new Map<string, number>()

  function verdict(until: number, now: number): RateVerdict {
    const missing = until - now
    const allowed = missing <= minute
    return {
      allowed,
      limit,
      remaining: allowed ? Math.floor((minute - missing) / cost + 1e-6) : 0,
      resetSeconds: Math.ceil((allowed ? missing : missing - minute) / 1000),
    }
  }

  /** A bucket that is full later than in a minute is one of before the clock was set back: that locks nobody out. */
  function held(who: string, now: number): number {
    const full = fullAt.get(who) ?? now
    return full > now + minute ? now : Math.max(full, now)
  }

  /** Whoever has not asked for longest is forgotten first, and many at a time: a map from which entries were
   *  taken is walked past the places of all of them. */
  function keep(who: string, until: number): void {
    fullAt.delete(who)
    fullAt.set(who, until)
    if (fullAt.size <= most) return
    for (const oldest of fullAt.keys()) {
      if (fullAt.size <= left) return
      fullAt.delete(oldest)
    }
  }

  return {
    look: (who, now) => verdict(held(who, now) + cost, now),
    take: (who, now) => {
      const until = held(who, now)
      const answer = verdict(until + cost, now)
      keep(who, answer.allowed ? until + cost : until)
      return answer
    },
  }
}
