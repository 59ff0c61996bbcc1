import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { isRecord } from '../../shared/shape.ts'
import type { Log } from '../context.ts'
import { type DatabaseSession, openSession } from './postgres.ts'
import { refuseHelpless, refusePooler, refuseUnsuitable } from './suitability.ts'

/** One replica migrates at a time; the others wait and find nothing left to do. */
const lockKey = 0x67617465

/** Brings the database at `url` to the schema of this release: our tables, then those of the job
 *  queue. Safe to call from any number of processes at once: one does it, and the others tell the log that they wait. Answers the
 *  migrations just applied. Where nothing is left to do neither the engine nor the queue is loaded. Throws one sentence where the
 *  database does not answer, is not one of ours, or cannot be migrated by this role. */
export async function migrate(url: string, log?: Log): Promise<readonly string[]> {
  const lock = await open(url)
  try {
    await refusePooler(lock)
    const [free] = await lock.query('select pg_try_advisory_lock($1) as it', [lockKey])
    if (!isRecord(free) || free.it !== true) {
      log?.info({}, 'Another process migrates the database: waiting until it has ended')
      await lock.query('select pg_advisory_lock($1)', [lockKey])
    }
    const { newer, missing } = await refuseUnsuitable(lock)
    if (newer.length > 0) {
      log?.warn(
        { newer },
        'The database has migrations of a newer release, which this one can do with',
      )
    }
    if (missing > 0) await refuseHelpless(lock, missing)
    const applied =
      missing === 0 ? [] : await (await import('./schemaengine.ts')).applyMigrations(url)
    if (!(await isQueueCurrent(lock))) {
      const { runMigrations } = await import('graphile-worker')
      await runMigrations({ connectionString: url })
    }
    return applied
  } finally {
    await lock.close()
  }
}

async function open(url: string): Promise<DatabaseSession> {
  try {
    return await openSession(url)
  } catch (cause) {
    const { host, pathname } = new URL(url)
    throw new Error(
      `The database ${pathname.slice(1)} at ${host} cannot be used: ${reasonOf(cause)}`,
      {
        cause,
      },
    )
  }
}

/** A name with several addresses fails for each of them, and says nothing of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return reasonOf(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}

/** Whether the tables of the job queue are those of its release, whose migrations lie beside its code by their
 *  numbers. Where they lie elsewhere it is asked itself. */
async function isQueueCurrent(session: DatabaseSession): Promise<boolean> {
  const [table] = await session.query(
    `select to_regclass('graphile_worker.migrations') is not null as made`,
  )
  if (!isRecord(table) || table.made !== true) return false
  const code = createRequire(import.meta.url).resolve('graphile-worker')
  const names = await readdir(join(dirname(code), '../sql')).catch(() => [])
  const newest = Math.max(...names.map((name) => Number.parseInt(name, 10)))
  const [found] = await session.query('select max(id) as newest from graphile_worker.migrations')
  return isRecord(found) && found.newest === newest
}
