import { isDeepStrictEqual } from 'node:util'
import { pointerPart } from '../shared/problem.ts'

/** What became of each field that changed, by its JSON Pointer; null: there is, or was, none. */
export type Differences = Readonly<
  Record<string, { readonly before: unknown; readonly after: unknown }>
>

/** Every field in which the two differ. A list is one field. Only for values that hold no secret. */
export function differences(before: unknown, after: unknown, path = ''): Differences {
  if (isDeepStrictEqual(before, after)) return {}
  if (!hasFields(before) || !hasFields(after)) return { [path]: { before, after } }
  const [old, next] = [fieldsOf(before), fieldsOf(after)]
  const names = [...new Set([...old.keys(), ...next.keys()])]
  return Object.assign(
    {},
    ...names.map((name) =>
      differences(old.get(name) ?? null, next.get(name) ?? null, `${path}/${pointerPart(name)}`),
    ),
  )
}

/** What was not there has no fields: one that came or went is told field by field. */
function hasFields(value: unknown): value is object | null {
  return typeof value === 'object' && !Array.isArray(value)
}

function fieldsOf(value: object | null): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(value ?? {}))
}
