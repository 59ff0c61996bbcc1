import type { Context } from '../core/context.ts'

/** Why a job failed, in a word that the queue may keep: the error itself, whose message may quote what
 *  was being stored, goes to the log alone. */
export class JobFailure extends Error {}

/** Does the work of a job. When it fails, that is logged once, with its cause, and the queue is told no
 *  more than the kind of error. */
export async function attempt(
  ctx: Context,
  job: { readonly task: string; readonly key: unknown },
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    const failure = kindOf(error)
    ctx.log.error({ ...job, failure, err: error }, 'a job failed; the queue tries again later')
    throw new JobFailure(failure)
  }
}

/** Its class, and its code where it has one: `KubeError unreachable`, `PrismaClientKnownRequestError
 *  P2034`. Never its message. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const facts = [
    'fault' in error ? error.fault : undefined,
    'type' in error ? error.type : undefined,
    'code' in error ? error.code : undefined,
  ]
  const words = facts.filter((fact) => typeof fact === 'string' && /^[\w-]{1,40}$/.test(fact))
  return [error.name, ...words].join(' ')
}
