import type { FastifyContextConfig, FastifySchema } from 'fastify'
import { type ProblemType, problemBase, problems } from '../shared/problem.ts'
import { isRecord } from '../shared/shape.ts'
import { tagListPattern } from './edge/conditions.ts'
import answers from './examples.json' with { type: 'json' }
import { idempotencyHeader } from './idempotency.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the action refuses; what every route of its kind may refuse goes without saying. */
    readonly problems?: readonly ProblemType[]
    /** It takes an Idempotency-Key. */
    readonly idempotent?: boolean
    /** What its answers of success bear beside what all do. */
    readonly bears?: readonly HeaderName[]
    /** What it makes has no URL of its own. */
    readonly placeless?: boolean
  }
}

/** What of a route tells what it answers. */
export type AnsweringRoute = {
  readonly config?: FastifyContextConfig
  readonly schema?: FastifySchema | undefined
}

/** The problems that a route answers: its own, and those of every route like it. Those of a request that
 *  reaches no route are not among them. */
export function problemsOf({ config = {}, schema = {} }: AnsweringRoute): readonly ProblemType[] {
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
  'csrf-refused',
  'route-unknown',
  'method-unsupported',
]

type Json = Readonly<Record<string, unknown>>

/** The answers to an operation as OpenAPI has them: those that it declares with their headers, and one for each
 *  status of its problems, which are put into `shared`: many operations have the same. What it declares for 4XX
 *  may come with each of those. */
export function answersOf(
  { '4XX': refused, ...declared }: Json,
  { id, method, route }: Answered,
  shared: Record<string, unknown>,
): Json {
  const byStatus = Map.groupBy(problemsOf(route), (type) => problems[type].status)
  const refusals = [...byStatus].map(([status, some]) => {
    const name = some.map(pascal).join('Or')
    if (status < 500 && isRecord(refused)) return [String(status), merged(refused, status, some)]
    shared[name] ??= refusal(status, some)
    return [String(status), { $ref: `#/components/responses/${name}` }]
  })
  const reads = method === 'get' && route.config?.versioned !== undefined
  const all = reads ? { 304: { description: success[304] }, ...declared } : declared
  const own = Object.entries(all).map(([status, answer]) => {
    if (!isRecord(answer)) return [status, answer]
    const { description, ...rest } = withExample(id, answer)
    const told = description === 'Default Response' ? success[status] : undefined
    const names = [...always, ...borneBy(Number(status), route)]
    return [status, { ...rest, description: told ?? description, headers: headersNamed(names) }]
  })
  shared.Refused ??= refusal(0, beforeRoutes)
  const rest = { default: { $ref: '#/components/responses/Refused' } }
  return Object.fromEntries([...own, ...refusals, ...Object.entries(rest)])
}

/** An operation by its name and its route. */
type Answered = {
  readonly id: string
  readonly method: string
  readonly route: AnsweringRoute
}

const examples = new Map<string, unknown>(Object.entries(answers))

/** An answer with what a service was seen to answer (test/api/examples.test.ts). */
function withExample(id: string, answer: Json): Json {
  const content = isRecord(answer.content) ? answer.content : {}
  const json = content['application/json']
  if (!isRecord(json) || !examples.has(id)) return answer
  const shown = { ...json, example: examples.get(id) }
  return { ...answer, content: { ...content, 'application/json': shown } }
}

/** What answers of success bear beside what all do. */
function borneBy(status: number, { config = {} }: AnsweringRoute): readonly HeaderName[] {
  const { bears = [], placeless = false, versioned } = config
  return [
    ...bears,
    ...(versioned === undefined || bears.includes('ETag') ? [] : (['ETag'] as const)),
    ...(status === 201 && !placeless ? (['Location'] as const) : []),
  ]
}

function merged(refused: Json, status: number, types: readonly ProblemType[]): Json {
  const { content, ...told } = refusal(status, types)
  const others = isRecord(refused.content) ? refused.content : {}
  return { ...told, content: { ...others, ...content } }
}

function pascal(type: ProblemType): string {
  return type.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

const success: Readonly<Record<string, string>> = {
  200: 'As asked for',
  201: 'It was created',
  202: 'Accepted: what is left to do follows by itself',
  204: 'Done',
  304: 'It is as you have it (If-None-Match)',
}

const problemRef = { $ref: '#/components/schemas/Problem' }

function refusal(status: number, types: readonly ProblemType[]) {
  const content = { schema: problemRef, examples: examplesOf(types) }
  return {
    description: types.map((type) => problems[type].title).join('; '),
    content: { 'application/problem+json': content },
    headers: headersNamed([...always, ...(told[status] ?? [])]),
  }
}

function examplesOf(types: readonly ProblemType[]): Json {
  return Object.fromEntries(types.map((type) => [type, { $ref: `#/components/examples/${type}` }]))
}

function headersNamed(names: readonly HeaderName[]): Json {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

type HeaderName = keyof (typeof sharedParts)['headers']

/** What every answer may bear. */
const always: readonly HeaderName[] = [
  'X-Request-Id',
  ...(['RateLimit', 'RateLimit-Policy'] as const),
  ...(['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'] as const),
]

/** What refusals bear by their status; those from before a route may have any (0). */
const told: Readonly<Record<number, readonly HeaderName[]>> = {
  0: ['Allow', 'Accept-Encoding', 'Retry-After'],
  401: ['WWW-Authenticate'],
  412: ['ETag', 'Last-Modified'],
  415: ['Accept-Encoding'],
  429: ['Retry-After'],
  503: ['Retry-After'],
}

const text = { type: 'string' } as const
const tags = {
  type: 'string',
  pattern: tagListPattern,
  examples: ['"5f3a2e0c9b1d4e7f8a60.0d9c4b7e6f1a2b3c4d5e"'],
} as const
const count = { type: 'integer' } as const

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
      schema: count,
    },
    RateLimit: {
      description: 'Requests that are left of a limit, and seconds until all of it is there again',
      schema: text,
      example: '"key";r=599;t=60',
    },
    'RateLimit-Policy': {
      description: 'The limit: requests, and the seconds that they are counted over',
      schema: text,
      example: '"key";q=600;w=60',
    },
    'RateLimit-Limit': { description: 'The limit, in requests a minute', schema: count },
    'RateLimit-Remaining': { description: 'Requests that are left of it', schema: count },
    'RateLimit-Reset': {
      description: 'Seconds until all of it is there again',
      schema: count,
    },
    Location: {
      description: 'The URL of what was made (RFC 9110 10.2.2)',
      schema: { type: 'string', format: 'uri-reference' },
    },
    Allow: { description: 'The methods that this URL answers to', schema: text },
    'Accept-Encoding': { description: 'How a body may be coded: identity', schema: text },
    'Content-Disposition': { description: 'A name for the file', schema: text },
    'Last-Modified': { description: 'Since when it is as it is', schema: text },
    Expires: { description: 'Until when caches may keep it', schema: text },
    ETag: {
      description: 'What If-Match and If-None-Match are held against (RFC 9110 8.8.3)',
      schema: text,
    },
    'WWW-Authenticate': { description: 'Bearer', schema: text },
  },
  parameters: {
    IdempotencyKey: idempotencyHeader,
    IfMatch: {
      name: 'If-Match',
      in: 'header',
      description: 'Only if it still has one of these entity tags, or, with *, if it is there',
      schema: tags,
    },
    IfNoneMatch: {
      name: 'If-None-Match',
      in: 'header',
      description: 'Only if it has none of these entity tags; with *, only if it is not there',
      schema: tags,
    },
  },
} as const
