/** Numbers that a seed decides. */
export type Random = {
  /** From `least` to `most`, both of them possible. */
  readonly whole: (least: number, most: number) => number
  readonly one: <T>(of: readonly T[]) => T
  /** True so often out of a hundred. */
  readonly chance: (percent: number) => boolean
}

/** Mulberry32: the same numbers for the same seed. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  const whole = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return {
    whole,
    one: (of) => {
      const [found] = of.slice(whole(0, of.length - 1))
      if (found === undefined) throw new Error('there is nothing to choose from')
      return found
    },
    chance: (percent) => next() * 100 < percent,
  }
}
