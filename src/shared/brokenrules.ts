/** A table of rules: whether each is broken, and the sentence that says so. */
export type Rules = readonly (readonly [broken: boolean, sentence: string])[]

/** The sentences of the broken rules, in the order of the table. */
export function brokenRules(faults: Rules): readonly string[] {
  return faults.flatMap(([broken, sentence]) => (broken ? [sentence] : []))
}
