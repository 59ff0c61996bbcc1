import type { Context } from './context.ts'

/** One value for each context, made when it is first asked for: what requests of a process share
 *  without being global to the module. */
export function perContext<T>(make: (ctx: Context) => T): (ctx: Context) => T {
  const made = new WeakMap<Context, { readonly value: T }>()
  return (ctx) => {
    const known = made.get(ctx)
    if (known) return known.value
    const value = make(ctx)
    made.set(ctx, { value })
    return value
  }
}
