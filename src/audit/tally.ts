/** What was counted of one kind of thing since it was last told; `item` is the first of it. */
export type Counted<Item> = {
  readonly key: string
  readonly item: Item
  readonly count: number
  readonly since: Date
}

/** What is counted: things of one `key` are one. `rest` stands for all of a group beyond those that are
 *  counted by themselves. */
export type Counting<Item> = {
  readonly key: string
  readonly group: string
  readonly item: Item
  readonly rest: { readonly key: string; readonly item: Item }
}

/** Tells what happens once, and in each interval after that how often it happened again: who makes a thing
 *  happen without end has it told once in an interval. */
export type Tally<Item> = {
  /** Answers whether there is something to tell at once. */
  readonly add: (counting: Counting<Item>, now: Date) => boolean
  /** What is to be told now; with `all` also what has not waited its interval yet. */
  readonly take: (now: Date, all?: boolean) => readonly Counted<Item>[]
  /** What was taken and could not be told is to be told again. */
  readonly restore: (counted: readonly Counted<Item>[]) => void
}

type Entry<Item> = {
  readonly group: string
  item: Item
  count: number
  since: Date
  /** Nothing was told of it yet. */
  fresh: boolean
  until: number
}

/** An empty tally. A group has at most as many keys in an interval as `mostOf` says, and one for the rest
 *  of it. */
export function openTally<Item>(
  milliseconds: number,
  mostOf: (group: string) => number,
): Tally<Item> {
  const entries = new Map<string, Entry<Item>>()
  const sizes = new Map<string, number>()

  function entryOf({ key, item }: Pick<Counting<Item>, 'key' | 'item'>, group: string, now: Date) {
    const known = entries.get(key)
    if (known) {
      if (known.count === 0) Object.assign(known, { item, since: now })
      return known
    }
    const entry = { group, item, count: 0, since: now, fresh: true, until: endOf(now) }
    entries.set(key, entry)
    sizes.set(group, (sizes.get(group) ?? 0) + 1)
    return entry
  }

  function endOf(now: Date): number {
    return now.getTime() + milliseconds
  }

  function forget(key: string, group: string): void {
    entries.delete(key)
    const left = (sizes.get(group) ?? 1) - 1
    if (left > 0) sizes.set(group, left)
    else sizes.delete(group)
  }

  return {
    add: (counting, now) => {
      const { key, group, rest } = counting
      const full = !entries.has(key) && (sizes.get(group) ?? 0) >= mostOf(group)
      const entry = entryOf(full ? rest : counting, group, now)
      entry.count++
      return entry.fresh || entry.until <= now.getTime()
    },
    take: (now, all = false) =>
      [...entries].flatMap(([key, entry]) => {
        const over = entry.until <= now.getTime()
        const { group, item, count, since } = entry
        if (over && count === 0) forget(key, group)
        if (count === 0 || !(entry.fresh || over || all)) return []
        Object.assign(entry, { count: 0, fresh: false, until: over ? endOf(now) : entry.until })
        return [{ key, item, count, since }]
      }),
    restore: (counted) => {
      for (const { key, item, count, since } of counted) {
        const entry = entries.get(key)
        if (entry) Object.assign(entry, { item, count: entry.count + count, since, fresh: true })
      }
    },
  }
}
