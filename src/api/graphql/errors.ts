import type { FastifyRequest } from 'fastify'
import { GraphQLError } from 'graphql'
import { Problem } from '../../shared/problem.ts'
import { asProblem, noteProblem, problemDocument } from '../problem.ts'

/** An error as it is answered: a problem's members, without those that GraphQL has a place for. */
export type ShownError = {
  readonly message: string
  readonly locations?: readonly { readonly line: number; readonly column: number }[]
  readonly path?: readonly (string | number)[]
  readonly extensions: Readonly<Record<string, unknown>>
}

/** What was thrown, in GraphQL's own errors: those of a document come several at once. */
export function errorsOf(error: unknown): readonly GraphQLError[] {
  if (error instanceof GraphQLError) return [error]
  if (error instanceof Error && 'errors' in error && Array.isArray(error.errors)) {
    const found = error.errors.filter((each) => each instanceof GraphQLError)
    if (found.length > 0) return found
  }
  return [new GraphQLError('', { originalError: error instanceof Error ? error : null })]
}

/** The error as it is shown. What is not a problem is logged with its cause and shown as `internal`,
 *  without detail. */
export function shownError(error: GraphQLError, request: FastifyRequest): ShownError {
  const problem = problemIn(error)
  noteProblem(request, problem)
  if (problem.status >= 500) {
    request.log.error({ err: error.originalError ?? error, path: error.path }, 'field failed')
  }
  const { detail, title: _title, ...extensions } = problemDocument(problem, request.id)
  return {
    message: detail,
    ...(error.locations ? { locations: error.locations } : {}),
    ...(error.path ? { path: error.path } : {}),
    extensions,
  }
}

/** What has no place in the answer and no cause is graphql's own complaint about the document or its
 *  variables: the client's to mend. */
function problemIn({ path, originalError, message }: GraphQLError): Problem {
  if (path === undefined && (!originalError || originalError instanceof GraphQLError)) {
    return message === '' ? asProblem(originalError) : new Problem('request-malformed', message)
  }
  return asProblem(originalError)
}
