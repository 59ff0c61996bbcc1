import { Problem, type ProblemType } from '../../src/shared/problem.ts'

/** For assert.rejects: the error is a problem of this type. */
export function isProblem(type: ProblemType): (error: unknown) => boolean {
  return (error) => error instanceof Problem && error.type === type
}

/** The fields of the violations with which `work` is refused; fails when it is not, or by another
 *  problem. */
export async function fieldsOf(type: ProblemType, work: Promise<unknown>): Promise<string[]> {
  const error: unknown = await work.then(
    () => new Error(`not refused: ${type} was expected`),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof Problem) || error.type !== type) throw error
  const { violations } = error.extra
  return Array.isArray(violations) ? violations.map(({ field }) => String(field)) : []
}
