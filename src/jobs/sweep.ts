import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import {
  type Due,
  due,
  dueTasks,
  givenIn,
  isDueKind,
  jobKey,
  readKey,
} from '../core/database/due.ts'
import { hour } from '../shared/moment.ts'

type Dead = {
  readonly id: bigint
  readonly task: string
  readonly key: string | null
  readonly payload: unknown
  readonly lastError: string | null
}

const batchSize = 1000
/** When work that was given up is tried again. */
const pauseMilliseconds = hour

/** Leaves no job behind that nobody would run, and says what it found. What was given up after all its
 *  attempts is due again in an hour: its key names a thing, and what is to be done about that is read
 *  from its state. A job that lost its key to a newer one while it ran, and then failed or was killed,
 *  goes; so does a turn of `periodic` work, since the next turn does the same. Answers how many were dead. */
export async function sweepQueue(ctx: Context, periodic: readonly string[]): Promise<number> {
  const known = [...dueTasks, ...periodic]
  const dead = await ctx.db.transaction(async (tx) => {
    const rows = await deadJobs(tx, known)
    for (const row of rows) if (isDueKind(row.task)) await again(tx, row.task, row, ctx.now())
    await tx.$executeRaw(sql`
      select from graphile_worker.complete_jobs(${rows.map(({ id }) => id)}::bigint[])`)
    return rows
  })
  for (const { task, key, payload, lastError } of dead.filter((row) => row.key !== null)) {
    const facts = { task, key: givenIn(payload).key, failure: kindIn(lastError) }
    ctx.log.error(facts, `gave up ${key} after all its attempts; it is tried again later`)
  }
  const superseded = dead.filter(({ key }) => key === null)
  if (superseded.length > 0) {
    ctx.log.warn({ jobs: counts(superseded) }, 'removed jobs whose work newer ones have taken over')
  }
  await sayUnknown(ctx, known)
  await mendQueues(ctx)
  return dead.length
}

function deadJobs(tx: Tx, tasks: readonly string[]): Promise<readonly Dead[]> {
  return tx.$queryRaw<Dead[]>(sql`
    select jobs.id, identifier as task, key, payload, last_error as "lastError"
    from graphile_worker._private_jobs as jobs
    join graphile_worker._private_tasks as tasks on tasks.id = task_id
    where attempts >= max_attempts and locked_at is null and identifier = any(${tasks})
    order by jobs.id limit ${batchSize} for update of jobs skip locked`)
}

/** A job that still has its key waits for an hour; of one without, the newer job counts, and only where
 *  there is none is the thing looked at once more. */
async function again<Kind extends keyof Due>(
  tx: Tx,
  kind: Kind,
  { id, key, payload }: Dead,
  now: Date,
): Promise<void> {
  const read = readKey(kind, givenIn(payload).key)
  // Nobody could do anything about it.
  if (read === undefined) return
  const name = jobKey(kind, read)
  // Out of the way of the new one, which would count it as superseded.
  await tx.$executeRaw(sql`update graphile_worker._private_jobs set key = null where id = ${id}`)
  const newer = await tx.$queryRaw<readonly unknown[]>(
    sql`select from graphile_worker._private_jobs where key = ${name}`,
  )
  if (newer.length > 0) return
  await due(tx, kind, read, key === null ? now : later(now))
}

function later(now: Date): Date {
  return new Date(now.getTime() + pauseMilliseconds)
}

/** Messages of before were kept whole: no more than a word of one is told. */
function kindIn(lastError: string | null): string {
  if (lastError === null) return 'ended without a word, such as with its process'
  return /^[\w-]+( [\w-]+)?$/.test(lastError) ? lastError : 'Error'
}

function counts(rows: readonly Dead[]): Readonly<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const { task } of rows) found[task] = (found[task] ?? 0) + 1
  return found
}

/** Kinds of another release are not ours to touch; that they wait is said. */
async function sayUnknown(ctx: Context, tasks: readonly string[]): Promise<void> {
  const waiting = await ctx.db.read.$queryRaw<readonly { task: string; jobs: number }[]>(sql`
    select identifier as task, count(*)::int as jobs
    from graphile_worker._private_jobs as jobs
    join graphile_worker._private_tasks as tasks on tasks.id = task_id
    where identifier <> all(${tasks}) and locked_at is null
    and run_at < now() - interval '1 hour' group by identifier`)
  for (const facts of waiting) {
    ctx.log.error(facts, 'jobs of a kind that this release does not know have waited for an hour')
  }
}

/** Frees queues that are held although nothing of theirs runs, and forgets those of things that are
 *  gone. One statement takes a job and its queue, and one gives both back, so that a held queue without
 *  a held job is one that nobody will free. */
async function mendQueues(ctx: Context): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    const freed = await tx.$executeRaw(sql`
      update graphile_worker._private_job_queues as queues set locked_at = null, locked_by = null
      where locked_at is not null and not exists (
        select from graphile_worker._private_jobs where job_queue_id = queues.id
        and locked_at is not null)`)
    if (freed > 0) ctx.log.warn({ queues: freed }, 'freed queues that were held by nobody')
    await tx.$executeRaw(sql`
      delete from graphile_worker._private_job_queues as queues where locked_at is null
      and not exists (select from graphile_worker._private_jobs where job_queue_id = queues.id)
      and ((split_part(queue_name, '/', 1) in ('cluster', 'proof', 'check')
          and not exists (select from cluster where id::text = split_part(queue_name, '/', 2)))
        or (queue_name like 'key/%'
          and not exists (select from authority_key where 'key/' || id = queue_name)))`)
  })
}
