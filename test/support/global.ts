import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Database, startDatabase } from '../../sandbox/postgres/database.ts'
import { migrate } from '../../src/core/database/migrate.ts'

let running: { readonly database: Database; readonly directory: string } | undefined

/** One real PostgreSQL for the whole run, with a migrated template that each test file clones. */
export async function globalSetup(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'gatesmith-test-'))
  const database = await startDatabase({ directory, port: 0 })
  running = { database, directory }
  await migrate(database.url)
  process.env.GATESMITH_TEST_DATABASE = database.url
  // Test files, and the processes that they start, compile each module once a run.
  process.env.NODE_COMPILE_CACHE = join(directory, 'compiled')
}

export async function globalTeardown(): Promise<void> {
  await running?.database.stop()
  if (running) await rm(running.directory, { recursive: true, force: true })
}
