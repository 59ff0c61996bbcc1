/** The parts of an OpenAPI 3.1 document that say what is sent and answered. */
export type Contract = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>
    readonly parameters: Readonly<Record<string, Parameter>>
    readonly responses: Readonly<Record<string, Answer>>
  }
}

type Reference = { readonly $ref: string }
type Schema = Partial<Reference> & {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly format?: string
  readonly description?: string
}
type Content = Readonly<Record<string, { readonly schema?: Schema; readonly examples?: object }>>
type Answer = { readonly content?: Content }
type Parameter = {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: Schema
}
type Operation = {
  readonly parameters?: readonly (Parameter | Reference)[]
  readonly requestBody?: { readonly required?: boolean; readonly content: Content }
  readonly responses: Readonly<Record<string, Answer | Reference>>
}

/** The contract as TypeScript, in the shape that openapi-fetch reads: `paths`, `components`, the union of the
 *  problems that are answered, and the operations that take an Idempotency-Key. */
export function clientTypes({ paths, components }: Contract): string {
  const problems = new Set(
    Object.values(components.responses).flatMap(({ content }) =>
      Object.keys(content?.['application/problem+json']?.examples ?? {}),
    ),
  )
  const keyed = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([, { parameters = [] }]) => parameters.some(isIdempotencyKey))
      .map(([method]) => `  '${method.toUpperCase()} ${path}',`),
  )
  const schemas = Object.entries(components.schemas).map(
    ([name, schema]) => `${said(schema)}    ${key(name)}: ${typeOf(schema)}`,
  )
  const routes = Object.entries(paths).map(
    ([path, item]) =>
      `  '${path}': {\n${Object.entries(item)
        .map(([method, operation]) => `    ${method}: ${operationType(operation, components)}`)
        .join('\n')}\n  }`,
  )
  return `// Made from openapi/openapi.json by npm run generate: not to be edited.

export type components = {
  schemas: {
${schemas.join('\n')}
  }
}

export type paths = {
${routes.join('\n')}
}

/** The last part of a problem's \`type\`: what to branch on. */
export type ProblemType =
${[...problems]
  .sort()
  .map((name) => `  | '${name}'`)
  .join('\n')}

/** What is done once however often it is sent with the same Idempotency-Key. */
export const idempotent: ReadonlySet<string> = new Set([
${keyed.join('\n')}
])
`
}

const isIdempotencyKey = (parameter: Parameter | Reference) =>
  '$ref' in parameter && parameter.$ref.endsWith('/IdempotencyKey')

function operationType(operation: Operation, components: Contract['components']): string {
  const { parameters = [], requestBody, responses } = operation
  const resolved = parameters.map((each) =>
    '$ref' in each ? components.parameters[last(each.$ref)] : each,
  )
  const places = ['query', 'header', 'path', 'cookie'].map((place) => {
    const here = resolved.flatMap((each) => (each?.in === place ? [each] : []))
    if (here.length === 0) return `${place}?: never`
    const optional = here.every(({ required }) => !required) ? '?' : ''
    const members = here.map(
      ({ name, required, schema }) => `${key(name)}${required ? '' : '?'}: ${typeOf(schema)}`,
    )
    return `${place}${optional}: { ${members.join('; ')} }`
  })
  const body = requestBody
    ? `requestBody${requestBody.required ? '' : '?'}: ${contentType(requestBody.content)}`
    : 'requestBody?: never'
  // Every refusal is thrown as a ProblemError, so only what succeeds needs a type of its own.
  const answers = Object.entries(responses)
    .filter(([status]) => /^2/.test(status))
    .map(([status, answer]) => {
      const { content } = '$ref' in answer ? {} : answer
      return `${status}: ${content ? contentType(content) : '{ content?: never }'}`
    })
  return `{ parameters: { ${places.join('; ')} }; ${body}; responses: { ${answers.join('; ')} } }`
}

function contentType(content: Content): string {
  const media = Object.entries(content).map(
    ([type, { schema }]) => `'${type}': ${schema ? typeOf(schema) : 'unknown'}`,
  )
  return `{ content: { ${media.join('; ')} } }`
}

function typeOf(schema: Schema): string {
  if (schema.$ref) return `components['schemas']['${last(schema.$ref)}']`
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.anyOf) return schema.anyOf.map((each) => `(${typeOf(each)})`).join(' | ')
  if (schema.allOf) return schema.allOf.map((each) => `(${typeOf(each)})`).join(' & ')
  const types = [schema.type ?? 'unknown'].flat()
  return types.map((type) => plainType(type, schema)).join(' | ')
}

function plainType(type: string, schema: Schema): string {
  if (type === 'integer' || type === 'number') return 'number'
  if (type === 'array') return schema.items ? `(${typeOf(schema.items)})[]` : 'unknown[]'
  if (type === 'object') return objectType(schema)
  return type
}

function objectType({ properties, required = [], additionalProperties }: Schema): string {
  if (!properties) {
    const value =
      typeof additionalProperties === 'object' ? typeOf(additionalProperties) : 'unknown'
    return `{ [key: string]: ${value} }`
  }
  const members = Object.entries(properties).map(
    ([name, schema]) =>
      `${said(schema)}${key(name)}${required.includes(name) ? '' : '?'}: ${typeOf(schema)}`,
  )
  return `{ ${members.join('\n')} }`
}

function said({ description }: Schema): string {
  return description ? `/** ${description.replaceAll('*/', '* /')} */\n` : ''
}

const last = (reference: string) => reference.split('/').at(-1) ?? ''
const key = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`)
