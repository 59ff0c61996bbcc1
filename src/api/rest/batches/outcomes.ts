import Type from 'typebox'
import { mostViolations, outcomeOf, Problem } from '../../../shared/problem.ts'
import { problemDocument } from '../../problem.ts'

/** The status of one item of a batch. */
export const status = Type.Integer({
  description: 'What the request for this one alone would answer',
})

type ProblemBody = ReturnType<typeof problemDocument>

/** Does each item in its turn, each for itself: one that is refused does not keep back the next. Answers in the same
 *  order what came of each, or its problem. Throws what concerns them all: tenant-unknown, forbidden; and what is no
 *  problem of an item, upon which those before it are done and the rest are not. */
export async function eachForItself<Item, Done extends object>(
  items: readonly Item[],
  requestId: string,
  work: (item: Item) => Promise<Done>,
): Promise<(Done | { readonly status: number; readonly problem: ProblemBody })[]> {
  const shown = documents(requestId)
  const outcomes = []
  for (const item of items) {
    const done = await outcomeOf(() => work(item))
    if (done instanceof Problem) {
      const problem = shown(done)
      outcomes.push({ status: problem.status, problem })
    } else outcomes.push(done)
  }
  return outcomes
}

/** Problems as they are answered; of all violations of a batch the first hundred are told. */
export function documents(requestId: string) {
  let left = mostViolations
  return (problem: Problem) => {
    const { violations, ...extra } = problem.extra
    if (!Array.isArray(violations)) return problemDocument(problem, requestId)
    const told: unknown[] = violations.slice(0, left)
    left -= told.length
    const more = told.length > 0 ? { violations: told } : {}
    return problemDocument(
      new Problem(problem.type, problem.message, { ...extra, ...more }),
      requestId,
    )
  }
}
