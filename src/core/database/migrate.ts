import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { isRecord } from '../../shared/shape.ts'
import { unapplied } from './migrations.ts'
import { type DatabaseSession, openSession } from './postgres.ts'

/** One replica migrates at a time; the others wait and find nothing left to do. */
const lockKey = 0x67617465

/** Brings the database at `url` to the schema of this release: our tables, then those of the job
 *  queue. Safe to call from any number of processes at once. Answers the migrations just applied. Where nothing is left
 *  to do neither the engine nor the queue is loaded. */
export async function migrate(url: string): Promise<readonly string[]> {
  const lock = await openSession(url)
  try {
    await lock.query('select pg_advisory_lock($1)', [lockKey])
    const applied = (await isCurrent(lock))
      ? []
      : await (await import('./schemaengine.ts')).applyMigrations(url)
    if (!(await isQueueCurrent(lock))) {
      const { runMigrations } = await import('graphile-worker')
      await runMigrations({ connectionString: url })
    }
    return applied
  } finally {
    await lock.close()
  }
}

/** Whether every migration of this release has been applied. */
async function isCurrent(session: DatabaseSession): Promise<boolean> {
  if (!(await isThere(session, '_prisma_migrations'))) return false
  return (await unapplied(session.query)).length === 0
}

/** Whether the tables of the job queue are those of its release, whose migrations lie beside its code by their
 *  numbers. Where they lie elsewhere it is asked itself. */
async function isQueueCurrent(session: DatabaseSession): Promise<boolean> {
  if (!(await isThere(session, 'graphile_worker.migrations'))) return false
  const code = createRequire(import.meta.url).resolve('graphile-worker')
  const names = await readdir(join(dirname(code), '../sql')).catch(() => [])
  const newest = Math.max(...names.map((name) => Number.parseInt(name, 10)))
  const [found] = await session.query('select max(id) as newest from graphile_worker.migrations')
  return isRecord(found) && found.newest === newest
}

async function isThere(session: DatabaseSession, table: string): Promise<boolean> {
  const [found] = await session.query('select to_regclass($1) is not null as it', [table])
  return isRecord(found) && found.it === true
}
