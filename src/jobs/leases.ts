import { setTimeout as wait } from 'node:timers/promises'
import { directUrl } from '../core/config.ts'
import type { Context } from '../core/context.ts'
import { type DatabaseSession, openLockSession } from '../core/database/postgres.ts'
import { isRecord } from '../shared/shape.ts'

/** Worker pools of this process as the database knows them to live: each holds an advisory lock of its
 *  name on a session of ours, and the queue writes that same name beside every job that it takes. When
 *  the process ends in any way the locks are gone with it, and its jobs are given back within seconds;
 *  the queue alone would keep them for four hours. */
export type Leases = {
  readonly hold: (poolId: string) => Promise<void>
  /** Of a pool that has ended before its process: what it still has is given back, too. */
  readonly letGo: (poolId: string) => void
  readonly stop: () => Promise<void>
}

const lockClass = 0x6773
/** How long a pool has to be without a lease, as seen here, before its jobs are given back: it may be
 *  about to take its first lease, or about to open another session. */
const graceMilliseconds = 5_000
const sweepMilliseconds = 1_000

/** Begins to hold leases, and to give back the jobs of pools that hold none. */
export async function openLeases(ctx: Context): Promise<Leases> {
  const held = new Set<string>()
  let stopped = false
  let line = await open(ctx)

  async function turn(): Promise<void> {
    await holdAll(line, held)
    const jobs = await giveBack(line)
    if (jobs > 0) ctx.log.warn({ jobs }, 'gave back the jobs of workers that are gone')
  }

  /** Until we stop: a session that is lost is followed by another, which holds the same. */
  async function keep(): Promise<void> {
    for (;;) {
      await line.session.ended
      await line.session.close().catch(() => undefined)
      if (stopped) return
      ctx.log.warn({}, 'the lease session is lost; opening another')
      line = await reopen()
    }
  }

  async function reopen(): Promise<Line> {
    for (;;) {
      try {
        const next = await open(ctx)
        await holdAll(next, held)
        return next
      } catch (error) {
        if (stopped) return line
        ctx.log.warn({ err: error }, 'the lease session cannot be opened; trying again')
        await wait(500)
      }
    }
  }

  const keeping = keep()
  let turning = Promise.resolve()
  const timer = setInterval(() => {
    turning = turning.then(turn).catch((error: unknown) => {
      if (!stopped) ctx.log.warn({ err: error }, 'leases could not be looked at')
    })
  }, sweepMilliseconds)
  return {
    hold: async (poolId) => {
      held.add(poolId)
      await holdAll(line, held)
    },
    letGo: (poolId) => {
      held.delete(poolId)
    },
    stop: async () => {
      stopped = true
      clearInterval(timer)
      await turning
      await line.session.close()
      await keeping
    },
  }
}

/** A session, what it holds, and since when it has seen a pool without a lease. */
type Line = {
  readonly session: DatabaseSession
  readonly holds: Set<string>
  readonly missing: Map<string, number>
}

async function open(ctx: Context): Promise<Line> {
  const session = await openLockSession(directUrl(ctx.config))
  return { session, holds: new Set(), missing: new Map() }
}

/** The locks are shared, since a session of ours that is not known to be lost yet may still have them. */
async function holdAll({ session, holds }: Line, held: ReadonlySet<string>): Promise<void> {
  for (const poolId of held) {
    if (holds.has(poolId)) continue
    await session.query('select pg_advisory_lock_shared($1, hashtext($2))', [lockClass, poolId])
    holds.add(poolId)
  }
  for (const poolId of holds) {
    if (held.has(poolId)) continue
    await session.query('select pg_advisory_unlock_shared($1, hashtext($2))', [lockClass, poolId])
    holds.delete(poolId)
  }
}

const leases = `
  from pg_locks where locktype = 'advisory' and granted and classid = ${lockClass}::oid
  and database = (select oid from pg_database where datname = current_database())`

const withoutLease = `
  locked_by is not null and not exists (
    select ${leases} and objid = (hashtext(locked_by)::bigint & 4294967295)::oid)`

/** Whether any worker holds a lease now: then what is due is done. */
export async function isWorkedOff(ctx: Context): Promise<boolean> {
  const [found] = await ctx.db.statement(`select exists (select ${leases}) as it`, [])
  return isRecord(found) && found.it === true
}

/** Unlocks what is held by pools that have been without a lease for the time of grace; answers how many
 *  jobs that were. */
async function giveBack({ session, missing }: Line): Promise<number> {
  const now = performance.now()
  const found = await session.query(
    `select distinct locked_by as pool from (
       select locked_by from graphile_worker._private_jobs where locked_at is not null
       union
       select locked_by from graphile_worker._private_job_queues where locked_at is not null
     ) as taken where ${withoutLease}`,
  )
  const pools = new Set(found.map((row) => nameIn(row)))
  for (const pool of missing.keys()) if (!pools.has(pool)) missing.delete(pool)
  for (const pool of pools) if (!missing.has(pool)) missing.set(pool, now)
  const gone = [...missing].flatMap(([pool, since]) =>
    now - since >= graceMilliseconds ? [pool] : [],
  )
  if (gone.length === 0) return 0
  const given = await session.query(
    `with jobs as (
       update graphile_worker._private_jobs set locked_at = null, locked_by = null
       where locked_by = any($1) and ${withoutLease} returning 1
     ), queues as (
       update graphile_worker._private_job_queues set locked_at = null, locked_by = null
       where locked_by = any($1) and ${withoutLease}
     )
     select 1 from jobs`,
    [gone],
  )
  return given.length
}

function nameIn(row: unknown): string {
  return typeof row === 'object' && row !== null && 'pool' in row ? String(row.pool) : ''
}
