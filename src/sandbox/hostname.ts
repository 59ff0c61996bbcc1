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

/** The pattern among `patterns` that `name` belongs to as Envoy chooses: the name itself, then the
 *  longest `*.suffix`, then `*`. */
export function bestMatch(patterns: Iterable<string>, name: string): string | undefined {
  let best: string | undefined
  for (const pattern of patterns) {
    if (!covers(pattern, name)) continue
    if (pattern.toLowerCase() === name.toLowerCase()) return pattern
    if (best === undefined || pattern.length > best.length) best = pattern
  }
  return best
}
