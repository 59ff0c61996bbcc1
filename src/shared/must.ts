/** What cannot be missing where this stands; `otherwise` says what went wrong if it is. */
export function must<T>(value: T | null | undefined, otherwise: string): T {
  if (value === null || value === undefined) throw new Error(otherwise)
  return value
}
