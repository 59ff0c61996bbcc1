import { Problem, type ProblemType, refuse } from '../shared/problem.ts'
import { X509Error } from '../x509/der/errors.ts'

/** Runs `work`, at once or later, on what a caller sent in `field` (a JSON Pointer): what x509 cannot accept
 *  becomes a problem of this type. Any other error goes on as it is. */
export function orRefuse<T>(type: ProblemType, field: string, work: () => T): T
export function orRefuse(type: ProblemType, field: string, work: () => unknown): unknown {
  try {
    const answer = work()
    return answer instanceof Promise
      ? answer.catch((error: unknown) => refused(error, type, field))
      : answer
  } catch (error) {
    return refused(error, type, field)
  }
}

function refused(error: unknown, type: ProblemType, field: string): never {
  if (!(error instanceof X509Error)) throw error
  refuse(type, [{ field, message: error.message }])
  throw new Problem(type, error.message)
}

/** What a write expects of the thing as it stands, asked in its transaction with the thing as it is shown, or null
 *  where there is none. Throws precondition-failed. */
export type Precondition = (current: object | null) => void
