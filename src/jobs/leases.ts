import type { Context } from '../ground/context.ts'
import { openSession, type Session } from '../ground/postgres.ts'

/** Workers of this process as the database knows them to live: each holds an advisory lock of its name
 *  on a session of ours. When the process ends in any way the locks are gone with it, and the jobs it
 *  had taken are given back within seconds; the queue alone would keep them for four hours. */
export type Leases = {
  readonly hold: (workerId: string) => Promise<void>
  readonly stop: () => Promise<void>
}

const lockClass = 0x6773
/** A worker is named in its jobs a moment before its lock is there. */
const graceSeconds = 5
const sweepMilliseconds = 5_000

/** Begins to hold leases, and to give back the jobs of workers that hold none. */
export async function openLeases(ctx: Context): Promise<Leases> {
  const held = new Set<string>()
  let session = await openSession(ctx.config.databaseUrl)
  let stopped = false

  async function turn(): Promise<void> {
    try {
      const jobs = await giveBack(session)
      if (jobs > 0) ctx.log.warn({ workers: jobs }, 'gave back the jobs of workers that are gone')
    } catch (error) {
      if (stopped) return
      ctx.log.warn({ err: error }, 'the lease session is lost; opening another')
      session = await reopen(ctx, session, held).catch(() => session)
    }
  }

  const timer = setInterval(() => void turn(), sweepMilliseconds)
  await turn()
  return {
    hold: async (workerId) => {
      held.add(workerId)
      await lock(session, workerId)
    },
    stop: async () => {
      stopped = true
      clearInterval(timer)
      await session.close()
    },
  }
}

async function reopen(ctx: Context, lost: Session, held: ReadonlySet<string>): Promise<Session> {
  await lost.close().catch(() => undefined)
  const session = await openSession(ctx.config.databaseUrl)
  for (const workerId of held) await lock(session, workerId)
  return session
}

async function lock(session: Session, workerId: string): Promise<void> {
  await session.query('select pg_advisory_lock($1, hashtext($2))', [lockClass, workerId])
}

/** Unlocks what is held by workers without a lease; answers how many workers those were. */
async function giveBack(session: Session): Promise<number> {
  const rows = await session.query(
    `with taken as (
       select locked_by, locked_at from graphile_worker._private_jobs where locked_at is not null
       union
       select locked_by, locked_at from graphile_worker._private_job_queues
       where locked_at is not null
     ), gone as (
       select distinct locked_by from taken
       where locked_at < now() - make_interval(secs => $2)
       and not exists (
         select from pg_locks where locktype = 'advisory' and granted and classid = $1::oid
         and objid = (hashtext(locked_by)::bigint & 4294967295)::oid
         and database = (select oid from pg_database where datname = current_database()))
     )
     select graphile_worker.force_unlock_workers(array_agg(locked_by)) from gone
     having count(*) > 0`,
    [lockClass, graceSeconds],
  )
  return rows.length
}
