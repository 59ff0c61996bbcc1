import { ErrandOver, onErrand } from '../clusters/kubernetes/errand.ts'
import type { Context } from '../core/context.ts'
import { givenIn, urgencyOf } from '../core/database/due.ts'
import { errorType, type Facts, inSpan } from '../core/tracing.ts'
import { isRecord } from '../shared/shape.ts'

/** Why a job failed, in a word that the queue may keep: the error itself, whose message may quote what
 *  was being stored, goes to the log alone. */
export class JobFailure extends Error {}

/** A job as the queue keeps it; from when on what was seen of a cluster will do for it (performance.now()); and what
 *  tells that it is not to be finished here. */
type Job = {
  readonly task: string
  readonly payload: unknown
  readonly priority: number
  readonly since: number
  readonly over: AbortSignal
}

/** Does the work of a job as urgently as its priority says, in a span of the trace in which it was asked for. When it
 *  fails, that is logged once, with its cause, and the queue is told no more than the kind of error. */
export async function attempt(
  ctx: Context,
  { task, payload, priority, since, over }: Job,
  work: (key: unknown) => Promise<unknown>,
): Promise<void> {
  const { key, trace: from } = givenIn(payload)
  const name = `process ${task}`
  try {
    await onErrand({ ...urgencyOf(priority), since, over }, () =>
      inSpan({ name, kind: 'consumer', facts: factsOf(task, key), from }, () => work(key)),
    )
  } catch (error) {
    const failure = errorType(error)
    if (error instanceof ErrandOver) {
      ctx.log.info({ task, key }, 'a job is left to others, since this worker ends')
      throw new JobFailure(failure)
    }
    ctx.log.error({ task, key, failure, err: error }, 'a job failed; the queue tries again later')
    throw new JobFailure(failure)
  }
}

/** Keys are ids, and digests of public keys. */
function factsOf(task: string, key: unknown): Facts {
  const ids = Object.entries(isRecord(key) ? key : {}).flatMap(([name, id]) =>
    typeof id === 'string' ? [[`gatesmith.${name}`, id] as const] : [],
  )
  return {
    'messaging.system': 'graphile-worker',
    'messaging.operation.type': 'process',
    'messaging.destination.name': task,
    ...Object.fromEntries(ids),
  }
}
