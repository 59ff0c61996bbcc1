import { EventEmitter, once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import {
  type JobHelpers,
  Logger,
  parseCronItems,
  type Runner,
  run,
  type TaskList,
  type WorkerEvents,
  type WorkerPool,
} from 'graphile-worker'
import type { Context, Log } from '../core/context.ts'
import type { openPool as openConnections } from '../core/database/postgres.ts'
import { attempt } from './failure.ts'
import type { Leases } from './leases.ts'
import type { Work } from './tasks.ts'

/** Slots of the queue, each of which takes one job after the other. */
export type Slots = {
  /** Lets running jobs end, and gives the others back. */
  readonly stop: () => Promise<void>
}

/** What slots are to do. */
export type SlotOptions = {
  readonly pgPool: ReturnType<typeof openConnections>
  readonly concurrency: number
  readonly work: Work
  /** The flags of jobs that are left to others. */
  readonly passing: string[]
  /** What is due again and again, and when (crontab). */
  readonly schedule: Readonly<Record<string, string>>
  /** Aborted when running jobs are to be left to others. */
  readonly over: AbortSignal
}

const common = {
  pollInterval: 1000,
  noHandleSignals: true,
  // Else the queue leaves a promise behind for each job that ends, and the process ends when one is broken.
  preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
}

/** A pool of the queue's that runs. */
type Pool = { readonly runner: Runner; readonly ended: Promise<void> }

/** Has slots take jobs until they are stopped. Where the database cannot be asked when a job ends, the queue gives up
 *  all slots of a pool: others take their place, and what they had is given back. */
export async function startSlots(
  ctx: Context,
  leases: Pick<Leases, 'hold' | 'letGo'>,
  options: SlotOptions,
): Promise<Slots> {
  const stopping = new AbortController()
  const { signal } = stopping
  let pool: Pool | undefined = await openPool(ctx, leases, options, signal)

  async function keep(): Promise<void> {
    for (;;) {
      await pool?.ended
      if (signal.aborted) return
      await wait(common.pollInterval, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      pool = await openPool(ctx, leases, options, signal).catch((error: unknown) => {
        ctx.log.warn({ err: error }, 'the queue cannot be asked; trying again')
        return undefined
      })
      // It was stopped while this one began.
      if (signal.aborted) await end(pool)
    }
  }

  const keeping = keep()
  return {
    stop: async () => {
      stopping.abort()
      await end(pool)
      await keeping
    },
  }
}

async function openPool(
  ctx: Context,
  { hold, letGo }: Pick<Leases, 'hold' | 'letGo'>,
  { work, passing, schedule, over, ...options }: SlotOptions,
  signal: AbortSignal,
): Promise<Pool> {
  const events: WorkerEvents = new EventEmitter()
  let name = ''
  // The queue writes the pool's name, not the worker's, beside the jobs that are taken.
  events.on('pool:create', ({ workerPool: { id } }) => {
    name = id
    void hold(id)
  })
  // Slots that ask for a job at one moment lock the queues' rows before one another, and go to sleep with
  // work left. Whoever got a job wakes the next.
  events.on('job:start', ({ worker }) => {
    if (!signal.aborted) worker.workerPool.nudge(1)
  })
  asksAgain(events)
  const broken = brokenOff(events)
  const runner = await run({
    ...common,
    ...options,
    logger: loggerOf(ctx.log),
    events,
    taskList: tasksOf(ctx, work, over),
    forbiddenFlags: passing,
    parsedCronItems: cronItems(schedule),
  })
  const ended = Promise.race([runner.promise.catch(() => undefined), broken]).then(() => {
    letGo(name)
    if (!signal.aborted) ctx.log.warn({}, 'the queue gave up its slots; opening others')
  })
  void broken.then(() => end({ runner, ended }))
  return { runner, ended }
}

/** The first pause before a slot asks again, in milliseconds; it varies by half, and the next one is four times as long. */
const firstPause = 15
const lastPause = 60

/** Has a slot ask twice more after it was told of a job. Slots of other pools, which take other jobs, are told at the same
 *  moment, and may have locked the row of its queue just then: nobody would take it before the next poll. */
function asksAgain(events: WorkerEvents): void {
  let next: NodeJS.Timeout | undefined
  let isEnding = false

  function askAfter(pause: number, pool: WorkerPool): void {
    next ??= setTimeout(
      () => {
        next = undefined
        pool.nudge(1)
        if (pause < lastPause) askAfter(4 * pause, pool)
      },
      // At another moment than slots of other pools.
      pause * (0.5 + Math.random()),
    )
  }

  events.on('pool:listen:notification', ({ workerPool }) => {
    if (!isEnding) askAfter(firstPause, workerPool)
  })
  for (const name of ['pool:gracefulShutdown', 'pool:forcefulShutdown'] as const) {
    events.once(name, () => {
      isEnding = true
      clearTimeout(next)
    })
  }
}

function tasksOf(ctx: Context, all: Work, over: AbortSignal): TaskList {
  return Object.fromEntries(
    Object.entries(all).map(([task, work]) => [
      task,
      (payload: unknown, { job: { priority } }: JobHelpers) =>
        attempt(ctx, { task, payload, priority, since: performance.now(), over }, work),
    ]),
  )
}

/** One turn of a kind runs at a time and one waits, which is the newest; one that is cut short is tried
 *  again before the next is due, which for some is a day later. */
function cronItems(schedule: SlotOptions['schedule']) {
  return parseCronItems(
    Object.entries(schedule).map(([task, match]) => ({
      task,
      match,
      options: { queueName: `turn/${task}`, jobKey: task, jobKeyMode: 'replace', maxAttempts: 25 },
    })),
  )
}

/** Resolves when a job could not be given back and no other runs any more: the pool's own end may never come then,
 *  since it counts such jobs wrongly. */
async function brokenOff(events: WorkerEvents): Promise<void> {
  const idle = ['pool:gracefulShutdown:complete', 'pool:forcefulShutdown:complete'] as const
  await Promise.all([
    once(events, 'pool:fatalError'),
    Promise.race(idle.map((name) => once(events, name))),
  ])
}

/** Returns when nothing of the pool runs any more. */
async function end(pool: Pool | undefined): Promise<void> {
  // One that has ended by itself refuses it.
  const stopped = pool?.runner.stop().catch(() => pool.ended)
  await Promise.race([stopped, pool?.ended])
}

/** What the queue complains of goes to our log, but for failed jobs, which are there already. */
function loggerOf(log: Log): Logger {
  return new Logger(() => (level, message, meta) => {
    if (meta?.failure === true) return
    if (level === 'error') log.error({ queue: meta }, message)
    if (level === 'warning') log.warn({ queue: meta }, message)
  })
}
