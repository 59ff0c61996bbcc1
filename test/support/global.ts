import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { startDatabase } from '../../sandbox/postgres/database.ts'
import { migrate } from '../../src/core/database/migrate.ts'
import { installation } from '../../src/core/installation.ts'
import { bundlePrograms } from '../../tools/bundle.ts'
import { startRig } from './rig.ts'

/** Within the repository: what is built finds libraries and migrations there. */
const cache = join(installation, 'node_modules/.cache')
const stops: (() => Promise<unknown>)[] = []

/** One real PostgreSQL for the whole run, with a migrated template that each test file clones; and the
 *  rig, if GATESMITH_TEST_RIG is 1. */
export async function globalSetup(): Promise<void> {
  await Promise.all([memory, cache].map(forget))
  if (process.env.GATESMITH_TEST_RIG === '1') stops.push(await startRig())
  const directory = await mkdtemp(join(await folderOfRun(), `gatesmith-test-${process.pid}-`))
  stops.push(() => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  // Test files, and the processes that they start, put there what they write.
  process.env.TMPDIR = directory
  // Test files, and the processes that they start, compile each module once a run.
  process.env.NODE_COMPILE_CACHE = join(directory, 'compiled')
  const built = buildPrograms()
  // What is killed in tests is processes, never the machine; and what they had open is not closed at once.
  const settings = {
    fsync: 'off',
    full_page_writes: 'off',
    max_connections: '400',
    // Each file has a database of its own, for seconds.
    autovacuum: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    jit: 'off',
  }
  const database = await startDatabase({ directory, port: 0, settings })
  stops.push(database.stop)
  await migrate(database.url)
  process.env.GATESMITH_TEST_DATABASE = database.url
  await built
}

/** What tests start as processes of their own. */
const programs = [
  'src/main.ts',
  'src/main/serve.ts',
  'src/main/work.ts',
  'sandbox/dev/start.ts',
  'sandbox/dev/dev.ts',
  'test/support/clusterprocess.ts',
  'test/support/dyingserver.ts',
  'test/support/measuredserver.ts',
]

/** What most processes of a run load, and what Node keeps of it only when a process ends by itself; most are killed. */
const loaded = ['serve.js', 'work.js', 'dev.js']

/** Builds the programs as `npm run build` does, where they find the libraries and the migrations, and has Node compile them. */
async function buildPrograms(): Promise<void> {
  const folder = join(cache, `gatesmith-test-${process.pid}`)
  stops.push(() => rm(folder, { recursive: true, force: true }))
  await bundlePrograms(folder, programs)
  process.env.GATESMITH_TEST_PROGRAMS = folder
  const imports = [
    ...loaded.map((name) => join(folder, name)),
    join(installation, 'test/support/api.ts'),
  ].map((path) => `import '${pathToFileURL(path)}'`)
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', imports.join('\n')])
}

const memory = '/dev/shm'
const roomBytes = 4 * 2 ** 30

/** Memory, if the machine has some to spare: on a disk, to clone a database may cost twenty times as much. */
async function folderOfRun(): Promise<string> {
  const free = await statfs(memory).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  )
  if (Math.min(free, process.availableMemory() - roomBytes) < roomBytes) return tmpdir()
  return memory
}

/** Removes what runs that were killed have left in a folder. */
async function forget(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, pid] = /^gatesmith-test-(\d+)\b/.exec(name) ?? []
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(folder, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

export async function globalTeardown(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop()
}
