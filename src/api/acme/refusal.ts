import type { FastifyReply, FastifyRequest } from 'fastify'
import { type AcmeErrorType, AcmeProblem, acmeErrorBase } from '../../acme/problem.ts'
import { Problem, type ProblemType } from '../../shared/problem.ts'
import { asProblem, noteProblem } from '../problem.ts'

/** What refusals of the rest of the house are to ACME clients; any other is malformed, with its own status. */
const types: Readonly<Partial<Record<ProblemType, readonly [AcmeErrorType, number?]>>> = {
  'rate-limited': ['rateLimited'],
  'quota-exceeded': ['rateLimited'],
  'credentials-refused': ['unauthorized'],
  forbidden: ['unauthorized'],
  'tenant-unknown': ['unauthorized'],
  'authority-keyless': ['unauthorized'],
  'certificate-refused': ['badCSR'],
  'request-invalid': ['malformed', 400],
  busy: ['serverInternal', 503],
  unavailable: ['serverInternal', 503],
  internal: ['serverInternal'],
}

/** Answers any error as ACME has it (RFC 8555 6.7). What is no refusal is logged with its cause, once, and answered
 *  without detail. */
export function answerRefusal(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = error instanceof AcmeProblem ? noted(error) : asProblem(error)
  noteProblem(request, problem)
  const refusal = error instanceof AcmeProblem ? error : refusalOf(problem)
  if (refusal.status >= 500 && problem.type !== 'busy') {
    request.log.error({ err: error }, 'ACME request failed')
  }
  const { subproblems, algorithms, location } = refusal.extra
  const { retryAfterSeconds = refusal.status === 503 ? 1 : undefined } = refusal.extra
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
  if (location !== undefined) reply.header('location', location)
  return reply
    .code(refusal.status)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: `${acmeErrorBase}${refusal.type}`,
        detail: refusal.message,
        status: refusal.status,
        instance: `urn:uuid:${request.id}`,
        ...{ subproblems, algorithms },
      }),
    )
}

/** As the log and the audit trail know it. */
function noted({ type, message, status }: AcmeProblem): Problem {
  const aboutAccess = type === 'unauthorized' || type === 'externalAccountRequired'
  if (aboutAccess && status === 403) return new Problem('credentials-refused', message)
  return new Problem(type === 'rateLimited' ? 'rate-limited' : 'request-invalid', message)
}

function refusalOf({ type, message, status, extra }: Problem): AcmeProblem {
  const [name, own] = types[type] ?? ['malformed', status]
  const { retryAfterSeconds } = extra
  return new AcmeProblem(name, message, {
    ...(own === undefined ? {} : { status: own }),
    ...(typeof retryAfterSeconds === 'number' ? { retryAfterSeconds } : {}),
  })
}
