import { Ajv } from 'ajv'
import type { FastifySchemaCompiler } from 'fastify'
import Type, { type TSchema } from 'typebox'
import { formats } from '../../shared/formats.ts'
import { mostViolations, Problem, type Violation } from '../../shared/problem.ts'
import { unstorable } from '../../shared/unstorable.ts'
import { areUnique, violationsOf } from './violations.ts'

const ajv = new Ajv({
  allErrors: false,
  removeAdditional: false,
  useDefaults: false,
  // Half of the time that a server takes to make its validators, for shorter code that is no faster.
  code: { optimize: false },
})
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

/** Validation at the edge: bodies as they are, without coercion, defaults or removal of what is not
 *  known; parameters and headers are text and are read as what the schema says. Ajv tells in linear
 *  time whether all rules are kept, and stops at the first that is not; which ones are broken is
 *  looked up only then. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const isBody = httpPart === 'body'
  // Made when it is asked for first: a server has hundreds of them, and starts without.
  let validate: ReturnType<typeof ajv.compile> | undefined
  const place = isBody ? '' : String(httpPart)
  return (data) => {
    const value = isBody ? data : asSaid(schema, data)
    validate ??= ajv.compile(schema)
    return validate(value) && unstorable(value) === undefined
      ? { value }
      : { error: invalid(violationsOf(schema, value, { place })) }
  }
}

/** Parameters are text. Those that are to be numbers or truth values are read as what they plainly say;
 *  what says neither stays text, and is refused by the schema. (Ajv's own coercion takes 1e400 for a
 *  number within any maximum.) */
function asSaid(schema: TSchema, data: unknown): unknown {
  if (!Type.IsObject(schema) || typeof data !== 'object' || data === null) return data
  return Object.fromEntries(
    Object.entries(data).map(([key, text]: [string, unknown]) => {
      const member = schema.properties[key]
      return [key, member && typeof text === 'string' ? valueIn(member, text) : text]
    }),
  )
}

function valueIn(member: TSchema, text: string): unknown {
  if (Type.IsInteger(member) && /^-?\d{1,15}$/.test(text)) return Number(text)
  if (Type.IsBoolean(member) && /^(true|false)$/.test(text)) return text === 'true'
  return text
}

/** The problem that broken rules are; when nobody could say which, the whole is what is wrong. */
function invalid(violations: readonly Violation[]): Problem {
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
