/** The one of `values` that `text` is: for words that come back from storage as plain text. */
export function oneOf<T extends string>(values: readonly T[], text: string): T {
  const found = values.find((value) => value === text)
  if (found === undefined) throw new Error(`"${text}" is none of ${values.join(', ')}`)
  return found
}
