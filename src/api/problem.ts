import type { ErrorObject } from 'ajv'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import Value from 'typebox/value'
import {
  mostViolations,
  Problem,
  type ProblemType,
  problemBase,
  problems,
  type Violation,
} from '../words/problem.ts'

/** Answers any error as a problem document (RFC 9457). What is not a Problem is logged with its cause,
 *  once, and answered without detail. */
export function answerError(
  error: FastifyError | Problem | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = asProblem(error)
  if (problem.status >= 500 && problem.type !== 'busy')
    request.log.error({ err: error }, 'request failed')
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
  const { retryAfterSeconds = problem.status === 503 ? 1 : undefined } = problem.extra
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .send(JSON.stringify(problemDocument(problem, request.id)))
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
  if ('validation' in error && Array.isArray(error.validation)) {
    const place = 'validationContext' in error ? String(error.validationContext) : 'body'
    return invalid(error.validation, place)
  }
  const code = sqlState(error) ?? ('code' in error ? error.code : undefined)
  return (typeof code === 'string' ? byCode(code) : undefined) ?? internal
}

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
    FST_ERR_CTP_INVALID_JSON_BODY: ['request-malformed', 'The body is not JSON'],

    FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['request-malformed', 'Content-Length is not the length'],
    FST_ERR_CTP_BODY_TOO_LARGE: ['request-too-large', 'Send at most 512 KiB'],
    FST_ERR_BAD_URL: ['request-malformed', 'The URL is not well formed'],
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

function invalid(errors: readonly ErrorObject[], place: string): Problem {
  const broken = errors.filter(({ keyword }) => keyword !== 'anyOf')
  const violations = broken.slice(0, mostViolations).map((error) => violation(error, place))
  const detail =
    violations.length === 1 && violations[0]
      ? violations[0].message
      : `${broken.length} rules are broken, see violations`
  return new Problem('request-invalid', detail, { violations })
}

function violation(error: ErrorObject, place: string): Violation {
  const base = place === 'body' ? error.instancePath : `${place}${error.instancePath}`
  const name = base === '' ? 'The body' : (base.split('/').at(-1) ?? base)
  const { params } = error
  switch (error.keyword) {
    case 'required':
      return {
        field: `${base}/${params.missingProperty}`,
        message: `${params.missingProperty} is required`,
      }
    case 'additionalProperties':
      return {
        field: `${base}/${params.additionalProperty}`,
        message: `"${params.additionalProperty}" is not a field here; fields are ${knownFields(error)}`,
      }
    case 'enum':
      return { field: base, message: `${name} must be one of ${params.allowedValues.join(', ')}` }
    case 'type':
      return { field: base, message: `${name} must be of type ${params.type}` }
    default:
      return { field: base, message: `${name} ${error.message ?? 'is not valid'}` }
  }
}

function knownFields({ parentSchema }: ErrorObject): string {
  const properties: unknown = parentSchema?.properties
  return typeof properties === 'object' && properties !== null
    ? Object.keys(properties).join(', ')
    : 'none'
}
