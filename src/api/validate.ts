import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'

const options = { allErrors: true, removeAdditional: false, useDefaults: false, verbose: true }
const strict = new Ajv({ ...options, coerceTypes: false })
const text = new Ajv({ ...options, coerceTypes: true })
for (const ajv of [strict, text]) addFormats.default(ajv)

/** Validation at the edge: bodies as they are, without coercion, defaults or removal of what is not
 *  known; parameters and headers are text and are read as what the schema says. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validate = (httpPart === 'body' ? strict : text).compile(schema)
  return (data) => {
    if (!validate(data)) return { error: invalid(validate.errors ?? []) }
    const path = unstorable(data, '')
    return path === undefined ? { value: data } : { error: invalid([textError(path)]) }
  }
}

function invalid(validation: readonly object[]): Error {
  return Object.assign(new Error('validation'), { validation })
}

function textError(instancePath: string): object {
  const message = 'must be text without NUL and without halves of characters'
  return { keyword: 'text', instancePath, schemaPath: '', params: {}, message }
}

/** Where a value has text that PostgreSQL cannot hold: NUL, or a surrogate by itself. Values are no
 *  deeper than readJson lets them be. */
function unstorable(value: unknown, path: string): string | undefined {
  if (typeof value === 'string') {
    return value.includes('\0') || !value.isWellFormed() ? path : undefined
  }
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined
  for (const [key, each] of Object.entries(value)) {
    // What a wildcard of a path matches is for its route to read.
    if (key === '*') continue
    const found = unstorable(key, path) ?? unstorable(each, `${path}/${key}`)
    if (found !== undefined) return found
  }
  return undefined
}
