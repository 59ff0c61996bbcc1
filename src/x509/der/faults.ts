/** Conditions, and what is to be said where one is broken. */
export type Faults = readonly (readonly [broken: boolean, sentence: string])[]

/** The sentences of those that are broken, in the order of the table. */
export function told(faults: Faults): readonly string[] {
  return faults.flatMap(([broken, sentence]) => (broken ? [sentence] : []))
}
