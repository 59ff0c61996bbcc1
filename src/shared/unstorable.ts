/** Where a value has text that PostgreSQL cannot hold: NUL, or a surrogate by itself. A JSON Pointer;
 *  values are no deeper than readJson lets them be. */
export function unstorable(value: unknown, path = ''): string | undefined {
  if (typeof value === 'string') {
    return value.includes('\0') || !value.isWellFormed() ? path : undefined
  }
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined
  for (const [key, each] of Object.entries(value)) {
    // What a wildcard of a path matches is for its route to read.
    if (key === '*') continue
    const found = unstorable(key, path) ?? unstorable(each, `${path}/${key}`)
    if (found !== undefined) return found
  }
  return undefined
}
