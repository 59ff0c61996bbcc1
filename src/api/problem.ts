import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import Value from 'typebox/value'
import { Problem, type ProblemType, problemBase, problems } from '../shared/problem.ts'
import { guardsConsole } from './console/headers.ts'

const noted = new WeakMap<FastifyRequest, Problem>()

/** Remembers what a request was refused for; of several the first that is about who asks. */
export function noteProblem(request: FastifyRequest, problem: Problem): void {
  const before = noted.get(request)
  if (!before || (isAboutAccess(problem) && !isAboutAccess(before))) noted.set(request, problem)
}

/** What a request was refused for, or a part of it; undefined: for nothing. */
export function problemOf(request: FastifyRequest): Problem | undefined {
  return noted.get(request)
}

const aboutAccess: ReadonlySet<number> = new Set([401, 403, 429])

/** Whether it says who asks, what that one may, or how much: what an auditor wants to be told of. */
export function isAboutAccess({ status }: Problem): boolean {
  return aboutAccess.has(status)
}

/** Answers any error as a problem document (RFC 9457). What is not a Problem is logged with its cause,
 *  once, and answered without detail. */
export function answerError(
  error: FastifyError | Problem | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = edgeProblem(error, request) ?? asProblem(error)
  noteProblem(request, problem)
  if (problem.status >= 500 && problem.type !== 'busy')
    request.log.error({ err: error }, 'request failed')
  // Where Fastify itself refuses no hook has a say.
  reply.header('x-request-id', request.id)
  guardsConsole(request, reply)
  if (problem.status === 401) {
    const basic = request.routeOptions.config.basic === true
    // RFC 6750 3: what was wrong is said only of what was sent.
    const bearer =
      problem.type === 'credentials-refused' ? 'Bearer error="invalid_token"' : 'Bearer'
    reply.header('www-authenticate', basic ? `Basic realm="gatesmith", ${bearer}` : bearer)
  }
  const { retryAfterSeconds = problem.status === 503 ? 1 : undefined } = problem.extra
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
  if (problem.type === 'quota-exceeded') showQuota(reply, problem.extra)
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .send(JSON.stringify(problemDocument(problem, request.id)))
}

/** A quota that is used up stands beside the limits of requests; one that no new day makes room for has no
 *  window. */
function showQuota(
  reply: FastifyReply,
  { quota, limit, retryAfterSeconds }: Problem['extra'],
): void {
  const daily = retryAfterSeconds !== undefined
  const add = (field: string, value: string) => {
    const before = reply.getHeader(field)
    reply.header(field, before === undefined ? value : `${before}, ${value}`)
  }
  add('ratelimit-policy', `"${quota}";q=${limit}${daily ? ';w=86400' : ''}`)
  add('ratelimit', `"${quota}";r=0${daily ? `;t=${retryAfterSeconds}` : ''}`)
}

/** What only the request tells: which limit it broke, and that it ended before its end, which looks
 *  like a database that went away. */
function edgeProblem(error: Error, { raw, routeOptions }: FastifyRequest): Problem | undefined {
  if (raw.destroyed && !raw.complete) {
    return new Problem('request-malformed', 'The request ended before its end')
  }
  const code = 'code' in error ? error.code : undefined
  return code === 'FST_ERR_CTP_BODY_TOO_LARGE' ? tooLong(routeOptions.bodyLimit) : undefined
}

/** The refusal of a body of more bytes than its route reads. */
function tooLong(bytes: number): Problem {
  return new Problem('request-too-large', `Send at most ${bytes / 1024} KiB`)
}

/** The document of a problem; `requestId` ties it to the log and the audit trail. */
export function problemDocument(problem: Problem, requestId: string) {
  const { status, title } = problems[problem.type]
  return {
    type: `${problemBase}${problem.type}`,
    title,
    status,
    detail: problem.message,
    instance: `urn:uuid:${requestId}`,
    ...problem.extra,
  }
}

/** The problem that an error is to a client. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (typeof error !== 'object' || error === null) return internal
  const code = sqlState(error) ?? lossOf(error) ?? ('code' in error ? error.code : undefined)
  if (typeof code !== 'string') return internal
  return byCode(code) ?? byStatus(code, error) ?? internal
}

/** Prisma's code for a connection that ended. node-postgres has none of its own where no statement was sent yet. */
function lossOf(error: object): 'P1017' | undefined {
  return error instanceof Error && lostConnection.test(error.message) ? 'P1017' : undefined
}

const lostConnection =
  /(Client has encountered a connection error|Client was closed) and is not queryable|Connection terminated/

/** What PostgreSQL itself said, inside an error of Prisma's (P2039). */
function sqlState(error: object): string | undefined {
  return Value.Check(Wrapped, error) ? error.meta.driverAdapterError.cause.originalCode : undefined
}

const Wrapped = Type.Object({
  meta: Type.Object({
    driverAdapterError: Type.Object({ cause: Type.Object({ originalCode: Type.String() }) }),
  }),
})

const internal = new Problem('internal', 'It was logged under the id in "instance"')

/** Fastify's own refusals and the database's, by their codes. */
function byCode(code: string): Problem | undefined {
  const known: Readonly<Record<string, readonly [ProblemType, string]>> = {
    FST_ERR_CTP_INVALID_MEDIA_TYPE: [
      'media-type-unsupported',
      'Send content-type application/json',
    ],
    FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['request-malformed', 'Content-Length is not the length'],
    FST_ERR_CTP_BODY_TOO_LARGE: ['request-too-large', 'The body is too large'],
    FST_ERR_BAD_URL: ['request-malformed', 'The URL is not well formed'],
    FST_ERR_MAX_PARAM_LENGTH: ['url-too-long', 'A part of the path is longer than any name here'],
    P1001: ['unavailable', 'The database does not answer; try again'],
    P1017: ['unavailable', 'The database went away; try again'],
    // SQLSTATEs (PostgreSQL appendix A): it shuts down, crashed, starts up, has no connection left.
    '57P01': ['unavailable', 'The database went away; try again'],
    '57P02': ['unavailable', 'The database went away; try again'],
    '57P03': ['unavailable', 'The database is not up yet; try again'],
    '53300': ['unavailable', 'The database is too busy; try again'],
    P2024: ['unavailable', 'The database is too busy; try again'],
    P2028: ['unavailable', 'The database is too busy; try again'],
    ECONNREFUSED: ['unavailable', 'The database does not answer; try again'],
    ECONNRESET: ['unavailable', 'The database went away; try again'],
  }
  const found = known[code]
  return found && new Problem(found[0], found[1])
}

/** What else Fastify refuses as the client's to mend: never an error of ours. */
function byStatus(code: string, error: object): Problem | undefined {
  const status = 'statusCode' in error ? Number(error.statusCode) : 500
  return code.startsWith('FST_ERR_') && status >= 400 && status < 500
    ? new Problem('request-malformed', 'The request is not one that is read here')
    : undefined
}
