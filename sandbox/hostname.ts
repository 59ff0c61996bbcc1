/** Does the host pattern match every name that `other` does? Patterns are `*`, `*.suffix` (of any depth,
 *  not the bare suffix) and whole names; letters' case is nothing.
 *
 *  | pattern         | other           |       |
 *  |-----------------|-----------------|-------|
 *  | `*`             | anything        | yes   |
 *  | `*.example.com` | `a.example.com` | yes   |
 *  | `*.example.com` | `a.b.example.com`, `*.b.example.com` | yes |
 *  | `*.example.com` | `example.com`   | no    |
 *  | `a.example.com` | `*.example.com` | no    | */
export function covers(pattern: string, other: string): boolean {
  const [wide, narrow] = [pattern.toLowerCase(), other.toLowerCase()]
  if (wide === '*' || wide === narrow) return true
  return wide.startsWith('*') && narrow.endsWith(wide.slice(1)) && narrow.length > wide.length - 1
}

/** What is kept for `name` under lower-case patterns, as Envoy chooses: the name itself, then its longest
 *  `*.suffix`, then `*`. */
export function bestMatch<T>(patterns: ReadonlyMap<string, T>, name: string): T | undefined {
  const lower = name.toLowerCase()
  const exact = patterns.get(lower)
  if (exact !== undefined) return exact
  for (let dot = lower.indexOf('.'); dot >= 0; dot = lower.indexOf('.', dot + 1)) {
    const wide = patterns.get(`*${lower.slice(dot)}`)
    if (wide !== undefined) return wide
  }
  return patterns.get('*')
}
