import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDatabase } from '../../sandbox/postgres/database.ts'
import { migrate } from '../../src/core/database/migrate.ts'
import { startRig } from './rig.ts'

const stops: (() => Promise<unknown>)[] = []

/** One real PostgreSQL for the whole run, with a migrated template that each test file clones; and the
 *  rig, if GATESMITH_TEST_RIG is 1. */
export async function globalSetup(): Promise<void> {
  if (process.env.GATESMITH_TEST_RIG === '1') stops.push(await startRig())
  const directory = await mkdtemp(join(tmpdir(), 'gatesmith-test-'))
  stops.push(() => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  // What is killed in tests is processes, never the machine; and what they had open is not closed at once.
  const settings = { fsync: 'off', full_page_writes: 'off', max_connections: '400' }
  const database = await startDatabase({ directory, port: 0, settings })
  stops.push(database.stop)
  await migrate(database.url)
  process.env.GATESMITH_TEST_DATABASE = database.url
  // Test files, and the processes that they start, compile each module once a run.
  process.env.NODE_COMPILE_CACHE = join(directory, 'compiled')
}

export async function globalTeardown(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop()
}
