import { Ajv } from 'ajv'
import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { formats } from '../../shared/formats.ts'
import { mostViolations, Problem, type Violation } from '../../shared/problem.ts'
import { unstorable } from '../../shared/unstorable.ts'
import { areUnique, violationsOf } from './violations.ts'

const options = { allErrors: false, removeAdditional: false, useDefaults: false }
const strict = new Ajv({ ...options, coerceTypes: false })
const text = new Ajv({ ...options, coerceTypes: true })
for (const ajv of [strict, text]) {
  for (const [name, validate] of formats) ajv.addFormat(name, validate)
  // What only answers have.
  for (const name of ['uri', 'binary']) ajv.addFormat(name, true)
  // Ajv's own compares each item with each other one.
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    validate: (wanted: boolean, items: readonly unknown[]) => !wanted || areUnique(items),
  })
}

/** Validation at the edge: bodies as they are, without coercion, defaults or removal of what is not
 *  known; parameters and headers are text and are read as what the schema says. Ajv tells in linear
 *  time whether all rules are kept, and stops at the first that is not; which ones are broken is
 *  looked up only then. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const isBody = httpPart === 'body'
  const validate = (isBody ? strict : text).compile(schema)
  const place = isBody ? '' : String(httpPart)
  return (data) =>
    validate(data) && unstorable(data) === undefined
      ? { value: data }
      : { error: invalid(violationsOf(schema, data, { place, text: !isBody })) }
}

/** The problem that broken rules are; when nobody could say which, the whole is what is wrong. */
export function invalid(violations: readonly Violation[]): Problem {
  const [first = { field: '', message: 'The request breaks a rule of its schema' }] = violations
  const more = violations.length === mostViolations ? 'at least ' : ''
  const detail =
    violations.length > 1
      ? `${more}${violations.length} rules are broken, see violations`
      : first.message
  return new Problem('request-invalid', detail, {
    violations: violations.length > 0 ? violations : [first],
  })
}
