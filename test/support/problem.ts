import { Problem, type ProblemType } from '../../src/words/problem.ts'

/** For assert.rejects: the error is a problem of this type. */
export function isProblem(type: ProblemType): (error: unknown) => boolean {
  return (error) => error instanceof Problem && error.type === type
}
