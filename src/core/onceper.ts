import type { Context } from './context.ts'

/** Makes one value for each context, or other object that lives as long, when it is first asked for. All
 *  requests of a process share it, and it is not global to the module. */
export function oncePer<Value, Owner extends object = Context>(
  make: (owner: Owner) => Value,
): (owner: Owner) => Value {
  const made = new WeakMap<Owner, { readonly value: Value }>()
  return (owner) => {
    const known = made.get(owner)
    if (known) return known.value
    const value = make(owner)
    made.set(owner, { value })
    return value
  }
}
