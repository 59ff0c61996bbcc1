import { readTbs, type Tbs } from '../certificates/read.ts'
import { profiles } from '../certificates/template.ts'
import { X509Error } from '../der/errors.ts'
import { authorityRules } from './authority.ts'
import { leafRules } from './leaf.ts'
import type { LintContext, Rule } from './rule.ts'
import { serialRules } from './serial.ts'
import { structureRules } from './structure.ts'
import { timeRules } from './time.ts'

/** Every rule, in the order a certificate is written. */
export const lints: readonly Rule[] = [
  ...serialRules,
  ...timeRules,
  ...structureRules,
  ...leafRules,
  ...authorityRules,
]

/** A rule that is broken, its clause, and how. */
export type Finding = { readonly name: string; readonly clause: string; readonly detail: string }

const byProfile = new Map(
  profiles.map((profile) => [profile, lints.filter((rule) => rule.applies(profile))]),
)

/** All that is wrong with the bytes about to be signed; sign them only when there is nothing.
 *  They are read anew by the strict reader, so what is judged is what will be signed. Pure. */
export function lint(tbs: Buffer, context: LintContext): readonly Finding[] {
  const read = readable(tbs)
  if (typeof read === 'string')
    return [{ name: 'readable', clause: 'RFC 5280 4.1, X.690', detail: read }]
  const findings: Finding[] = []
  for (const { name, clause, check } of byProfile.get(context.profile) ?? lints) {
    const detail = check(read, context)
    if (detail !== undefined) findings.push({ name, clause, detail })
  }
  return findings
}

function readable(tbs: Buffer): Tbs | string {
  try {
    return readTbs(tbs)
  } catch (error) {
    if (error instanceof X509Error) return error.message
    throw error
  }
}
