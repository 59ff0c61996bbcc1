import type { Context } from './context.ts'

/** Makes one value for each context, when it is first asked for. All requests of a process share it,
 *  and it is not global to the module. */
export function oncePerContext<T>(make: (ctx: Context) => T): (ctx: Context) => T {
  const made = new WeakMap<Context, { readonly value: T }>()
  return (ctx) => {
    const known = made.get(ctx)
    if (known) return known.value
    const value = make(ctx)
    made.set(ctx, { value })
    return value
  }
}
