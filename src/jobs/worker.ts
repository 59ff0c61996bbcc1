import { EventEmitter } from 'node:events'
import { Logger, parseCronItems, run, type TaskList, type WorkerEvents } from 'graphile-worker'
import type { Context, Log } from '../ground/context.ts'
import { attempt } from './failure.ts'
import { openLeases } from './leases.ts'
import { keyedWork, periodicWork, schedule } from './tasks.ts'

function tasksOf(ctx: Context): TaskList {
  const keyed = keyedWork(ctx)
  const all: Readonly<Record<string, (key: unknown) => Promise<unknown>>> = {
    ...keyed,
    ...periodicWork(ctx, keyed),
  }
  return Object.fromEntries(
    Object.entries(all).map(([task, work]) => [
      task,
      (key: unknown) => attempt(ctx, { task, key }, () => work(key)),
    ]),
  )
}

/** One turn of a kind runs at a time and one waits, which is the newest; one that is cut short is tried
 *  again before the next is due, which for some is a day later. */
const cronItems = parseCronItems(
  Object.entries(schedule).map(([task, match]) => ({
    task,
    match,
    options: { queueName: `turn/${task}`, jobKey: task, jobKeyMode: 'replace', maxAttempts: 25 },
  })),
)

/** A running worker; `stop` lets running jobs end and gives the others back. */
export type Worker = { readonly stop: () => Promise<void> }

/** Starts to work off what is due, `concurrency` jobs at a time. Any number of processes may do this. */
export async function startWorker(ctx: Context, concurrency: number): Promise<Worker> {
  const leases = await openLeases(ctx)
  const events: WorkerEvents = new EventEmitter()
  // The queue writes the pool's name, not the worker's, beside the jobs that are taken.
  events.on('pool:create', ({ workerPool }) => {
    leases.hold(workerPool.id).catch((error: unknown) => {
      ctx.log.warn({ err: error }, 'a worker has no lease yet; another session is opened for it')
    })
  })
  const runner = await run({
    connectionString: ctx.config.databaseUrl,
    maxPoolSize: concurrency + 2,
    concurrency,
    pollInterval: 1000,
    noHandleSignals: true,
    taskList: tasksOf(ctx),
    parsedCronItems: cronItems,
    events,
    logger: loggerOf(ctx.log),
  })
  return {
    stop: async () => {
      await runner.stop()
      await leases.stop()
    },
  }
}

/** What the queue complains of goes to our log, but for failed jobs, which are there already. */
function loggerOf(log: Log): Logger {
  return new Logger(() => (level, message, meta) => {
    if (meta?.failure === true) return
    if (level === 'error') log.error({ queue: meta }, message)
    if (level === 'warning') log.warn({ queue: meta }, message)
  })
}
