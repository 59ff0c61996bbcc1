import type { FastifyContextConfig, FastifySchema } from 'fastify'
import { type ProblemType, problemBase, problems } from '../shared/problem.ts'
import { isRecord } from '../shared/shape.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the action refuses; what every route of its kind may refuse goes without saying. */
    readonly problems?: readonly ProblemType[]
    /** It takes an Idempotency-Key. */
    readonly idempotent?: boolean
  }
}

type Route = { readonly config?: FastifyContextConfig; readonly schema?: FastifySchema | undefined }

/** The problems that a route answers: its own, and those of every route like it. Those of a request that
 *  reaches no route are not among them. */
export function problemsOf({ config = {}, schema = {} }: Route): readonly ProblemType[] {
  const { needs, problems: own = [], idempotent, versioned } = config
  const { body, params, querystring } = schema
  const all: readonly (readonly [unknown, readonly ProblemType[]])[] = [
    [true, ['request-malformed', 'rate-limited', 'internal', 'unavailable']],
    [needs, ['credentials-missing', 'credentials-refused', 'forbidden']],
    [body ?? params ?? querystring, ['request-invalid']],
    [body, ['request-too-large', 'media-type-unsupported']],
    [versioned, ['precondition-failed']],
    [idempotent, ['idempotency-mismatch', 'idempotency-busy']],
    [true, own],
  ]
  return [...new Set(all.flatMap(([holds, types]) => (holds ? types : [])))]
}

/** What a request is refused for before it has reached a route, whichever that is. */
const beforeRoutes: readonly ProblemType[] = [
  'request-malformed',
  'request-late',
  'request-too-large',
  'url-too-long',
  'headers-too-large',
  'media-type-unsupported',
  'precondition-refused',
  'expectation-refused',
  'route-unknown',
  'method-unsupported',
]

type Json = Readonly<Record<string, unknown>>

const retryable: ReadonlySet<number> = new Set([429, 503])

/** The answers to an operation as OpenAPI has them: those that it declares with their headers, and one for each
 *  status of its problems, which are put into `shared`: many operations have the same. */
export function answersOf(
  declared: Json,
  types: readonly ProblemType[],
  shared: Record<string, unknown>,
): Json {
  const byStatus = Map.groupBy(types, (type) => problems[type].status)
  const refusals = [...byStatus].map(([status, some]) => {
    const name = some.map(pascal).join('Or')
    shared[name] ??= refusal(status, some)
    return [String(status), { $ref: `#/components/responses/${name}` }]
  })
  const own = Object.entries(declared).map(([status, answer]) => {
    if (!isRecord(answer)) return [status, answer]
    const { description, headers, ...rest } = answer
    const told = description === 'Default Response' ? success[status] : undefined
    const all = { ...(isRecord(headers) ? headers : {}), ...headersOf(Number(status)) }
    return [status, { ...rest, description: told ?? description, headers: all }]
  })
  shared.Refused ??= refusal(0, beforeRoutes)
  const rest = { default: { $ref: '#/components/responses/Refused' } }
  return Object.fromEntries([...own, ...refusals, ...Object.entries(rest)])
}

function pascal(type: ProblemType): string {
  return type.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

const success: Readonly<Record<string, string>> = {
  200: 'As asked for',
  201: 'It was created',
  202: 'Accepted: what is left to do follows by itself',
  204: 'Done',
}

const problemRef = { $ref: '#/components/schemas/Problem' }

function refusal(status: number, types: readonly ProblemType[]): Json {
  const content = { schema: problemRef, examples: examplesOf(types) }
  return {
    description: types.map((type) => problems[type].title).join('; '),
    content: { 'application/problem+json': content },
    headers: headersOf(status),
  }
}

function examplesOf(types: readonly ProblemType[]): Json {
  return Object.fromEntries(types.map((type) => [type, { $ref: `#/components/examples/${type}` }]))
}

function headersOf(status: number): Json {
  const names = [
    ...['X-Request-Id', 'RateLimit', 'RateLimit-Policy'],
    ...(retryable.has(status) ? ['Retry-After'] : []),
    ...(status === 401 ? ['WWW-Authenticate'] : []),
  ]
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

const text = { type: 'string' } as const

const problemExamples = Object.fromEntries(
  Object.entries(problems).map(([type, { title, status }]) => {
    const value = { type: `${problemBase}${type}`, title, status, detail: `${title}.` }
    return [type, { summary: title, value }]
  }),
)

/** What operations share: headers of answers and of requests, and an example of each problem. */
export const sharedParts = {
  examples: problemExamples,
  headers: {
    'X-Request-Id': {
      description: 'The id of the request, as in the log, the audit trail and "instance"',
      schema: { type: 'string', format: 'uuid' },
    },
    'Retry-After': {
      description: 'After how many seconds to ask again',
      schema: { type: 'integer' },
    },
    RateLimit: {
      description: 'Requests that are left of a limit, and seconds until it begins anew',
      schema: text,
      example: '"key";r=599;t=60',
    },
    'RateLimit-Policy': {
      description: 'The limit: requests, and the seconds that they are counted over',
      schema: text,
      example: '"key";q=600;w=60',
    },
    ETag: {
      description: 'What If-Match and If-None-Match are held against (RFC 9110 8.8.3)',
      schema: text,
    },
    'WWW-Authenticate': { description: 'Bearer', schema: text },
  },
  parameters: {
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'The same request with the same key is done once: send it again after a lost answer',
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
    },
    IfMatch: {
      name: 'If-Match',
      in: 'header',
      description: 'Only if it still has one of these entity tags, or, with *, if it is there',
      schema: text,
    },
    IfNoneMatch: {
      name: 'If-None-Match',
      in: 'header',
      description: 'Only if it has none of these entity tags; with *, only if it is not there',
      schema: text,
    },
  },
} as const
