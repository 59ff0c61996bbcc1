import { ProblemError } from '@gatesmith/client'
import { exits } from './io.ts'

/** A refusal in one sentence and a line for each rule that is broken. */
export function sentenceOf(error: Error): string {
  if (!(error instanceof ProblemError)) return error.message
  const rules = error.violations
    .filter(({ message }) => message !== error.message)
    .map(({ field, message }) => `\n  ${field || '/'}: ${message}`)
  return `${error.message}${rules.join('')}`
}

/** The exit code of a refusal. */
export function exitOf({ status }: ProblemError): number {
  if (status === 401 || status === 403) return exits.credentials
  if (status === 404) return exits.unknown
  if (status === 409 || status === 412) return exits.conflict
  return status === 429 || status >= 500 ? exits.unavailable : exits.refused
}

/** Exit codes, the gravest first: the one that waiting helps least. */
const gravity = [
  ...[exits.credentials, exits.usage, exits.refused, exits.conflict, exits.unknown],
  ...[exits.unavailable, exits.late, exits.no, exits.done],
] as const

/** The gravest of several exit codes. A script that tries again after 7 can rely on it that nothing else was wrong. */
export function gravestOf(codes: readonly number[]): number {
  return gravity.find((code) => codes.includes(code)) ?? exits.done
}
