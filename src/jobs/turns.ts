import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { openBell } from '../core/bell.ts'
import { canonical } from '../core/canonical.ts'
import type { Context } from '../core/context.ts'
import { givenIn, type Lane, slowFlag } from '../core/database/due.ts'
import { isRecord } from '../shared/shape.ts'
import { attempt, JobFailure } from './failure.ts'
import type { Work } from './tasks.ts'

/** Work that is done together: what is due in one queue is taken by one process at a time, many things at
 *  once and the most urgent first, so that they share statements and what is seen of their cluster. The jobs
 *  are those of the queue, told and locked as it does (graphile_worker.get_job), but for that a locked queue has
 *  many jobs that run; so the leases of src/jobs/leases.ts hold for them, too. */
export type QueueTurns = {
  /** Something may be due. */
  readonly wake: () => void
  /** Takes nothing more, and resolves when all that runs has ended. */
  readonly stop: () => Promise<void>
}

/** So many jobs of a queue run at a time; and beside them so many that are urgent, which wait for no others. */
const width = { usual: 96, urgent: 32 } as const
/** So many must have ended before others are taken: what begins together is read and stored together. */
const least = 24
/** What ends, or becomes due, within this time is seen together: longer in a turn that has gone on for a second, as where
 *  thousands of things are due. */
const gatherMilliseconds = { first: 15, later: 40, from: 1_000 } as const
/** What has ended is given back after this, or sooner with many others. */
const giveMilliseconds = 100
/** Between two looks at what is due; between two at which queues have something, while one is worked off, or of the
 *  slow lane; and when nobody tells that something is due. */
const lookMilliseconds = { least: 20, busy: 100, most: 500 } as const
/** After this a queue is given up, so that others have their turn, also in other processes: soon where this process
 *  has other queues waiting. */
const sliceMilliseconds = { waitedFor: 5_000, most: 60_000 } as const

type Queue = { readonly id: number; readonly priority: number }

type Job = {
  readonly id: string
  readonly task: string
  readonly payload: unknown
  readonly priority: number
  /** When it became due (performance.now()). */
  readonly since: number
}

/** A job that has ended; with the word that the queue keeps, where it failed. */
type Ended = { readonly id: string; readonly failure: string | null }

type Options = {
  /** What each kind of job is. */
  readonly work: Work
  /** The main lane leaves the jobs that are flagged slow; the slow lane is for queues that have some. */
  readonly lane: Lane
  /** How many queues are dealt with at a time. */
  readonly queues: number
  /** Has the name held by which jobs are locked. */
  readonly hold: (poolId: string) => Promise<void>
  /** Aborted when running jobs are to be left to others. */
  readonly over: AbortSignal
}

/** Begins to take what is due of these kinds of work. */
export function startTurns(ctx: Context, { work, lane, queues, hold, over }: Options): QueueTurns {
  const table = openTable(ctx, { pool: `turns-${randomUUID()}`, tasks: Object.keys(work), lane })
  const turns = new Map<number, Turn>()
  const lastTurn = new Map<number, number>()
  const stopping = new AbortController()
  const bell = openBell()
  let areOthersWaiting = false
  let lookedAt = Number.NEGATIVE_INFINITY

  function begin({ id }: Queue): void {
    const isWaitedFor = () => areOthersWaiting
    const turn = takeTurn(ctx, { id, table, work, signal: stopping.signal, over, isWaitedFor })
    const ended = turn.ended.finally(() => {
      turns.delete(id)
      lastTurn.set(id, performance.now())
      bell.ring()
    })
    turns.set(id, { ...turn, ended })
  }

  /** Those that had their turn last come last. Answers after how many milliseconds to look again at the latest. */
  async function look(): Promise<number> {
    for (const { wake } of turns.values()) wake()
    const free = queues - turns.size
    if (free <= 0) {
      areOthersWaiting = true
      return lookMilliseconds.most
    }
    const early = lookedAt + lookMilliseconds.busy - performance.now()
    if (early > 0 && (turns.size > 0 || lane === 'slow')) return early
    lookedAt = performance.now()
    const found = (await table.queues()).filter(({ id }) => !turns.has(id))
    const turnOf = ({ id }: Queue) => lastTurn.get(id) ?? 0
    const next = found.toSorted((a, b) => a.priority - b.priority || turnOf(a) - turnOf(b))
    for (const queue of next.slice(0, free)) begin(queue)
    areOthersWaiting = next.length > free
    for (const id of lastTurn.keys()) if (lastTurn.size > 10_000) lastTurn.delete(id)
    return lookMilliseconds.most
  }

  async function keep(): Promise<void> {
    await hold(table.pool)
    while (!stopping.signal.aborted) {
      const pause = await look().catch((error: unknown) => {
        ctx.log.warn({ err: error }, 'the queue cannot be asked; trying again')
        return lookMilliseconds.most
      })
      await wait(lookMilliseconds.least)
      await bell.rung(AbortSignal.timeout(Math.ceil(pause)))
    }
    for (const { wake } of turns.values()) wake()
    await Promise.all([...turns.values()].map(({ ended }) => ended))
  }

  const keeping = keep()
  return {
    wake: bell.ring,
    stop: async () => {
      stopping.abort()
      bell.ring()
      await keeping
    },
  }
}

type Turn = {
  /** Something may be due in its queue. */
  readonly wake: () => void
  /** Never rejects. */
  readonly ended: Promise<void>
}

type TurnOptions = {
  readonly id: number
  readonly table: Table
  readonly work: Work
  readonly signal: AbortSignal
  readonly over: AbortSignal
  readonly isWaitedFor: () => boolean
}

/** Works off a queue, until nothing is due there or the slice is over. Where the database cannot be asked, all that
 *  the queue's jobs hold is given back as soon as it can be. */
function takeTurn(ctx: Context, { id, table, work, signal, over, isWaitedFor }: TurnOptions): Turn {
  const bell = openBell()
  // Since the queue was asked last.
  let mayBeDue = true
  const begun = performance.now()
  const running = { usual: 0, urgent: 0 }
  const chains = new Map<string, Promise<void>>()
  let ended: Ended[] = []
  let givenAt = begun

  function start(job: Job): void {
    const kind = job.priority < 0 ? 'urgent' : 'usual'
    running[kind]++
    // Of one thing one job runs at a time.
    const subject = canonical(givenIn(job.payload).key)
    const before = chains.get(subject) ?? Promise.resolve()
    const now = before
      .then(() => run(ctx, work, { ...job, over }))
      .then((failure) => {
        running[kind]--
        ended.push({ id: job.id, failure })
        if (chains.get(subject) === now) chains.delete(subject)
        bell.ring()
      })
    chains.set(subject, now)
  }

  function room(): { readonly usual: number; readonly urgent: number } {
    if (signal.aborted) return { usual: 0, urgent: 0 }
    const slice = isWaitedFor() ? sliceMilliseconds.waitedFor : sliceMilliseconds.most
    const isOver = performance.now() - begun > slice
    const usual = width.usual - running.usual
    const ready = !isOver && (usual >= least || running.usual === 0)
    // What is urgent does not wait until the last of a turn that is over has ended.
    const held = isOver && running.usual === 0
    return { usual: ready ? usual : 0, urgent: held ? 0 : width.urgent - running.urgent }
  }

  async function workOff(): Promise<void> {
    try {
      for (;;) {
        const idle = running.usual + running.urgent === 0
        const isEnough = ended.length >= least || performance.now() - givenAt >= giveMilliseconds
        if (ended.length > 0 && (idle || isEnough)) {
          const done = ended
          ended = []
          givenAt = performance.now()
          await table.giveBack(id, done, idle)
        }
        const free = room()
        if (mayBeDue || free.usual > 0) {
          mayBeDue = false
          for (const job of await table.take(id, free)) start(job)
        }
        if (running.usual + running.urgent === 0 && ended.length === 0) return
        await bell.rung(ended.length > 0 ? AbortSignal.timeout(giveMilliseconds) : undefined)
        const isLong = performance.now() - begun > gatherMilliseconds.from
        await wait(isLong ? gatherMilliseconds.later : gatherMilliseconds.first)
      }
    } catch (error) {
      ctx.log.warn({ err: error }, 'a queue is given up; its jobs are given back')
      await Promise.all(chains.values())
      await giveUp(table, id, signal)
    }
  }

  const wake = () => {
    mayBeDue = true
    bell.ring()
  }
  return { wake, ended: workOff() }
}

/** Until it is done, or the process ends: then its lease does, and others do this. */
async function giveUp(table: Table, id: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const isDone = await table.giveUp(id).then(
      () => true,
      () => false,
    )
    if (isDone) return
    await wait(lookMilliseconds.most, undefined, { signal }).catch(() => undefined)
  }
}

/** Answers the word for its failure, or null. */
async function run(ctx: Context, work: Work, job: Job & Pick<TurnOptions, 'over'>) {
  try {
    const act = work[job.task]
    if (!act) throw new Error(`nobody takes jobs of ${job.task}`)
    await attempt(ctx, job, act)
    return null
  } catch (error) {
    return error instanceof JobFailure ? error.message : 'Error'
  }
}

type Table = ReturnType<typeof openTable>

/** The queue's own tables, as its statements read and write them. */
function openTable(
  { db }: Context,
  {
    pool,
    tasks,
    lane,
  }: { readonly pool: string; readonly tasks: readonly string[]; readonly lane: Lane },
) {
  const jobs = 'graphile_worker._private_jobs'
  const isDue = `jobs.is_available and jobs.run_at <= now() and jobs.task_id in (
    select id from graphile_worker._private_tasks where identifier = any($1::text[]))`
  const isSlow = `coalesce(jobs.flags ? '${slowFlag}', false)`
  const ofLane = lane === 'slow' ? 'true' : `not ${isSlow}`

  const dueOf = (which: string, most: string) => `
    select jobs.id from ${jobs} as jobs
    where job_queue_id in (select id from own) and ${isDue} and ${ofLane} and ${which}
    order by jobs.priority, jobs.run_at limit ${most}::int for update skip locked`

  return {
    pool,
    /** The queues in which something is due and nothing runs. */
    async queues(): Promise<readonly Queue[]> {
      const rows = await db.statement(
        `select queues.id, min(jobs.priority) as priority
         from ${jobs} as jobs join graphile_worker._private_job_queues as queues
           on queues.id = jobs.job_queue_id
         where ${isDue} and queues.is_available and ${lane === 'slow' ? isSlow : ofLane}
         group by queues.id order by 2, min(jobs.run_at) limit 200`,
        [tasks],
      )
      return rows.map((row) => ({
        id: Number(of(row, 'id')),
        priority: Number(of(row, 'priority')),
      }))
    },
    /** Takes jobs of a queue, and the queue with the first of them, unless another process has it. */
    async take(id: number, room: { usual: number; urgent: number }): Promise<readonly Job[]> {
      if (room.usual + room.urgent === 0) return []
      const rows = await db.statement(
        `with own as (
           select id from graphile_worker._private_job_queues
           where id = $2 and (is_available or locked_by = $3) for update skip locked
         ), urgent as (
           ${dueOf('jobs.priority < 0', '$5')}
         ), usual as (
           ${dueOf('jobs.priority >= 0', '$4')}
         ), next as (
           select id from urgent union all select id from usual
         ), held as (
           update graphile_worker._private_job_queues set locked_by = $3, locked_at = now()
           where id = $2 and exists (select from next)
         )
         update ${jobs} as jobs set attempts = jobs.attempts + 1, locked_by = $3, locked_at = now()
         from next, graphile_worker._private_tasks as tasks
         where jobs.id = next.id and tasks.id = jobs.task_id
         returning jobs.id::text, identifier as task, payload, jobs.priority,
           1000 * extract(epoch from now() - greatest(jobs.run_at, jobs.updated_at))::float as age`,
        [tasks, id, pool, room.usual, room.urgent],
      )
      const now = performance.now()
      return rows
        .map((row) => ({
          id: String(of(row, 'id')),
          task: String(of(row, 'task')),
          payload: of(row, 'payload'),
          priority: Number(of(row, 'priority')),
          since: now - Number(of(row, 'age')),
        }))
        .toSorted((a, b) => a.priority - b.priority)
    },
    /** Frees a queue and its jobs, whether they have been done or not. */
    async giveUp(id: number): Promise<void> {
      await db.statement(
        `with given as (
           update ${jobs} set locked_by = null, locked_at = null
           where job_queue_id = $1 and locked_by = $2
         )
         update graphile_worker._private_job_queues set locked_by = null, locked_at = null
         where id = $1 and locked_by = $2`,
        [id, pool],
      )
    },
    /** Removes what is done, has what failed tried again later and later, and frees the queue with the last. */
    async giveBack(id: number, ended: readonly Ended[], last: boolean): Promise<void> {
      const failed = ended.filter(({ failure }) => failure !== null)
      const done = ended.filter(({ failure }) => failure === null)
      await db.statement(
        `with done as (
           delete from ${jobs} where id = any($1::bigint[]) and locked_by = $2
         ), failed as (
           update ${jobs} as jobs set last_error = item.failure, locked_by = null, locked_at = null,
             run_at = greatest(now(), run_at) + exp(least(attempts, 10)) * interval '1 second'
           from unnest($3::bigint[], $4::text[]) as item(id, failure)
           where jobs.id = item.id and locked_by = $2
         )
         update graphile_worker._private_job_queues set locked_by = null, locked_at = null
         where id = $5 and locked_by = $2 and $6`,
        [
          done.map(({ id }) => id),
          pool,
          failed.map(({ id }) => id),
          failed.map(({ failure }) => failure),
          id,
          last,
        ],
      )
    },
  }
}

function of(row: unknown, name: string): unknown {
  return isRecord(row) ? row[name] : undefined
}
