/** What JSON can say; read-only, so a stored object is never changed in place. */
export type Json = string | number | boolean | null | readonly Json[] | Fields

/** A JSON object. */
export type Fields = { readonly [key: string]: Json }

/** The value of a JSON text. Throws SyntaxError. */
export function parseJson(text: string): Json {
  const value: Json = JSON.parse(text)
  return value
}

/** Is it a JSON object (and not an array)? */
export function isFields(value: Json | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !isList(value)
}

/** Is it a JSON array? */
export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

/** The value at a path of member names, if every step of it is there. */
export function at(value: Json | undefined, ...path: readonly string[]): Json | undefined {
  let here = value
  for (const name of path) {
    if (!isFields(here) || !Object.hasOwn(here, name)) return undefined
    here = here[name]
  }
  return here
}

/** The string at a path, or ''. */
export function text(value: Json | undefined, ...path: readonly string[]): string {
  const found = at(value, ...path)
  return typeof found === 'string' ? found : ''
}

/** The object at a path, or {}. */
export function fields(value: Json | undefined, ...path: readonly string[]): Fields {
  const found = at(value, ...path)
  return isFields(found) ? found : {}
}

/** The array at a path, or []. */
export function list(value: Json | undefined, ...path: readonly string[]): readonly Json[] {
  const found = at(value, ...path)
  return isList(found) ? found : []
}

/** The strings of the array at a path, or []. */
export function texts(value: Json | undefined, ...path: readonly string[]): readonly string[] {
  return list(value, ...path).filter((each) => typeof each === 'string')
}

/** A copy with `changes` laid over it; a member changed to undefined is left out. */
export function amend(value: Fields, changes: { [key: string]: Json | undefined }): Fields {
  const amended: { [key: string]: Json } = {}
  for (const [key, each] of Object.entries({ ...value, ...changes })) {
    if (each !== undefined) amended[key] = each
  }
  return amended
}
