import { EventEmitter } from 'node:events'
import { Logger, parseCronItems, run, type TaskList, type WorkerEvents } from 'graphile-worker'
import type { Context, Log } from '../core/context.ts'
import { slowFlag, togetherChannel } from '../core/database/due.ts'
import { listen, openPool } from '../core/database/postgres.ts'
import { attempt } from './failure.ts'
import { openLeases } from './leases.ts'
import { dueWork, parted, periodicWork, schedule, slowWork, type Work } from './tasks.ts'
import { startTurns } from './turns.ts'
import { startWatches } from './watches.ts'

/** What the slots of each lane do, and what is done together. */
function lanesOf(ctx: Context) {
  const [main, slow] = [parted(dueWork(ctx)), parted(slowWork(ctx))]
  return {
    main: tasksOf(ctx, { ...main.alone, ...periodicWork(ctx) }),
    slow: tasksOf(ctx, slow.alone),
    together: { main: main.together, slow: slow.together },
  }
}

function tasksOf(ctx: Context, all: Work): TaskList {
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

/** Starts to work off what is due, `concurrency` jobs at a time, and beside them a quarter as many (at
 *  least one) that alone wait for clusters that did not answer last time; and of what is done together, as many
 *  queues: to begin with a hundred clusters at one moment makes connections late. Any number of processes may
 *  do this. */
export async function startWorker(ctx: Context, concurrency: number): Promise<Worker> {
  const slowSlots = Math.max(1, Math.floor(concurrency / 4))
  const leases = await openLeases(ctx)
  const watches = await startWatches(ctx)
  const events: WorkerEvents = new EventEmitter()
  // The queue writes the pool's name, not the worker's, beside the jobs that are taken.
  events.on('pool:create', ({ workerPool }) => {
    leases.hold(workerPool.id).catch((error: unknown) => {
      ctx.log.warn({ err: error }, 'a worker has no lease yet; another session is opened for it')
    })
  })
  // Slots that ask for a job at one moment lock the queues' rows before one another, and go to sleep with
  // work left. Whoever got a job wakes the next.
  let stopping = false
  events.on('job:start', ({ worker }) => {
    if (!stopping) worker.workerPool.nudge(1)
  })
  // A slot has a connection only while it takes a job or gives it back.
  const pgPool = openPool(ctx.config.databaseUrl, concurrency + 2)
  const lost = (err: unknown) => ctx.log.warn({ err }, 'the queue lost a connection')
  // Without a listener a lost connection would end the process, also while a job has it.
  pgPool.on('error', lost)
  pgPool.on('connect', (client) => client.on('error', lost))
  const lanes = lanesOf(ctx)
  const { hold } = leases
  const turns = [
    startTurns(ctx, { lane: 'main', work: lanes.together.main, queues: concurrency, hold }),
    startTurns(ctx, { lane: 'slow', work: lanes.together.slow, queues: slowSlots, hold }),
  ]
  const listening = listen(ctx.config.databaseUrl, togetherChannel, () => {
    for (const { wake } of turns) wake()
  })
  const shared = {
    pgPool,
    pollInterval: 1000,
    noHandleSignals: true,
    events,
    logger: loggerOf(ctx.log),
  }
  const main = await run({
    ...shared,
    concurrency,
    taskList: lanes.main,
    forbiddenFlags: [slowFlag],
    parsedCronItems: cronItems,
  })
  const slow = await run({
    ...shared,
    concurrency: slowSlots,
    taskList: lanes.slow,
    parsedCronItems: [],
  })
  return {
    stop: async () => {
      stopping = true
      const all = [main, slow, watches, ...turns]
      await Promise.all(all.map((each) => each.stop()))
      await listening.close()
      await leases.stop()
      await pgPool.end()
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
