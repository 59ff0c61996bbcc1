import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { startDatabase } from '../sandbox/postgres/database.ts'
import { createAuthority } from '../src/authorities/create.ts'
import { systemActor } from '../src/core/actor.ts'
import { readConfig } from '../src/core/config.ts'
import { type Context, openContext } from '../src/core/context.ts'
import { migrate } from '../src/core/database/migrate.ts'
import { makeAdminKey } from '../src/main/adminkey.ts'
import { createTenant } from '../src/tenants/write.ts'

/** What a benchmark runs on: a fresh PostgreSQL with fsync on, an authority, a tenant, a token. */
export type Stage = {
  readonly ctx: Context
  readonly token: string
  readonly environment: NodeJS.ProcessEnv
  readonly stop: () => Promise<void>
}

type Options = {
  /** Where the database is kept, to be used again; none: in a temporary folder. */
  readonly kept?: string | undefined
  /** Of PostgreSQL. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Sets the stage, or finds it as it was left. */
export async function setStage({ kept, settings = {} }: Options = {}): Promise<Stage> {
  const directory = kept ?? (await mkdtemp(join(tmpdir(), 'gatesmith-bench-')))
  const database = await startDatabase({ directory, port: 0, settings })
  await migrate(database.url)
  const environment = {
    ...process.env,
    DATABASE_URL: database.url,
    GATESMITH_SEALING_KEY: await sealingKeyIn(directory),
    GATESMITH_LOG_LEVEL: 'error',
    // Limits are counted as ever, and never reached.
    GATESMITH_RATE_KEY: '99999999',
    GATESMITH_RATE_ADDRESS: '99999999',
    GATESMITH_HOST: '127.0.0.1',
  }
  const quiet = () => undefined
  const log = { info: quiet, warn: quiet, error: console.error }
  const ctx = openContext(readConfig(environment), log)
  if ((await ctx.db.read.tenant.count({ where: { name: 'bench' } })) === 0) await furnish(ctx)
  return {
    ctx,
    token: await makeAdminKey(ctx, 'bench'),
    environment,
    stop: async () => {
      await ctx.db.close()
      await database.stop()
      if (kept === undefined) await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The key that was used before, or a new one. */
async function sealingKeyIn(directory: string): Promise<string> {
  const path = join(directory, 'sealing-key')
  const found = await readFile(path, 'utf8').catch(() => '')
  if (found) return found
  const made = randomBytes(32).toString('base64')
  await writeFile(path, made, { mode: 0o600 })
  return made
}

async function furnish(ctx: Context): Promise<void> {
  const actor = systemActor('bench')
  const subject = { commonName: 'bench root' }
  await createAuthority(ctx, actor, { name: 'bench-root', kind: 'root', subject })
  await createAuthority(ctx, actor, {
    name: 'bench-issuing',
    kind: 'intermediate',
    parent: 'bench-root',
    subject: { commonName: 'bench issuing' },
  })
  const domains = ['bench.test']
  await createTenant(ctx, actor, { name: 'bench', domains, defaultAuthority: 'bench-issuing' })
}

/** As in the Dockerfile: V8 would otherwise let the heap grow far beyond what is in use. */
const serverFlags = ['--max-semi-space-size=24', '--max-old-space-size=256']

/** A server process of the built product (npm run build), listening on `port`. */
export async function startServer(stage: Stage, port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...serverFlags, 'dist/main.js', 'serve'], {
    env: { ...stage.environment, GATESMITH_PORT: String(port) },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (ready?.ok) return child
    await delay(10)
  }
  child.kill('SIGKILL')
  throw new Error(`the server on port ${port} did not become ready`)
}

/** The most memory that a process has had resident so far, in MB; undefined where /proc is not. */
export async function peakMegabytes({ pid }: ChildProcess): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const found = /VmHWM:\s+(\d+) kB/.exec(status)?.[1]
  return found === undefined ? undefined : Math.round(Number(found) / 1024)
}

/** This machine's limit: native P-256 signatures a second on one thread. */
export function nativeSignatures(): number {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const octets = randomBytes(600)
  const end = Date.now() + 1000
  let count = 0
  for (; Date.now() < end; count++) sign('sha256', octets, privateKey)
  return count
}

/** The database's limit: single-row inserts of 1 kB a second, each its own commit, on 8 connections. */
export async function singleInserts(url: string): Promise<number> {
  const pool = new pg.Pool({ connectionString: url, max: 8 })
  await pool.query('create table bench_insert (id bigserial primary key, octets bytea)')
  const octets = randomBytes(1024)
  const end = Date.now() + 2000
  let count = 0
  const lane = async () => {
    for (; Date.now() < end; count++) {
      await pool.query('insert into bench_insert (octets) values ($1)', [octets])
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  await pool.query('drop table bench_insert')
  await pool.end()
  return Math.round(count / 2)
}
