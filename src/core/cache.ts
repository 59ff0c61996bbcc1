import type { Context } from './context.ts'
import { oncePer } from './onceper.ts'

/** How long what rarely changes, and may be a little old, is kept. */
export const cacheMilliseconds = 5_000

/** Reads a value by its key and gives the same answer to all who ask within `milliseconds`, also while it
 *  is being read. A read that fails is forgotten at once. Keys must be few: none is ever dropped. */
export function cachedFor<Value>(
  milliseconds: number,
  read: (ctx: Context, key: string) => Promise<Value>,
): (ctx: Context, key: string) => Promise<Value> {
  const entries = oncePer(
    () => new Map<string, { readonly value: Promise<Value>; readonly until: number }>(),
  )
  return (ctx, key) => {
    const now = performance.now()
    const found = entries(ctx).get(key)
    if (found && found.until > now) return found.value
    const value = read(ctx, key)
    entries(ctx).set(key, { value, until: now + milliseconds })
    value.catch(() => {
      if (entries(ctx).get(key)?.value === value) entries(ctx).delete(key)
    })
    return value
  }
}
