import { KubeError } from '../kubernetes/kube.ts'

/** What was answered, or why it could not be looked at: the cluster refuses the question, or cannot answer
 *  it just now. */
export type Answered<T> =
  | { readonly answer: T }
  | { readonly why: string; readonly denied: boolean }

/** Asks; a cluster that gives no answer at all, or does not know us, is no longer asked. */
export async function ask<T>(question: () => Promise<T>): Promise<Answered<T>> {
  try {
    return { answer: await question() }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    if (error.fault === 'unreachable' || error.fault === 'unauthorized') throw error
    return { why: error.message, denied: error.fault === 'forbidden' }
  }
}

/** The answers to many questions in their order, a few at a time: a cluster has others to answer, too. */
export async function inTurns<Item, T>(
  items: readonly Item[],
  work: (item: Item) => Promise<T>,
): Promise<readonly T[]> {
  const answers = new Map<number, T>()
  const left = items.entries()
  const one = async () => {
    for (const [index, item] of left) answers.set(index, await work(item))
  }
  await Promise.all(Array.from({ length: 6 }, one))
  return [...answers].toSorted(([a], [b]) => a - b).map(([, answer]) => answer)
}
