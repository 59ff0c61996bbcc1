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
    if (validate(data)) return { value: data }
    const error = new Error('validation')
    return { error: Object.assign(error, { validation: validate.errors ?? [] }) }
  }
}
