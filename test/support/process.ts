import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { installation } from '../../src/core/installation.ts'

/** A process of the product under test. */
export type Running = {
  readonly child: ChildProcess
  /** What it has printed so far. */
  readonly said: { out: string; err: string }
  /** Its exit code, when it has ended; null: by a signal. */
  readonly ended: Promise<number | null>
}

const entry = 'src/main.ts'
/** What `npm start` runs. */
export const developmentEntry = 'sandbox/dev/start.ts'

/** Starts `gatesmith <args>`, or another program of this repository, as a process of its own, with these settings and no
 *  others of ours. It is killed when the tests of the file are over. */
export function startProcess(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  script = entry,
): Running {
  const child = spawn(process.execPath, [built(script), ...args], {
    env: { ...productEnvironment(), ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return watched(child)
}

/** Keeps what a process prints. It is ended by this signal when the tests of the file are over. */
export function watched(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Running {
  const said = { out: '', err: '' }
  child.stdout?.on('data', (chunk: Buffer) => {
    said.out += chunk.toString('utf8')
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    said.err += chunk.toString('utf8')
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  after(() => {
    child.kill(signal)
    return ended
  })
  return { child, said, ended }
}

/** The token of a platform admin, made by the command for it. */
export async function adminKey(
  settings: Readonly<Record<string, string>>,
  script = entry,
): Promise<string> {
  const { ended, said } = startProcess(['admin-key'], settings, script)
  if ((await ended) !== 0) throw new Error(said.err)
  return said.out.trim()
}

/** A program as the run has built it; as it stands, for a file that is run alone. */
function built(script: string): string {
  const folder = process.env.GATESMITH_TEST_PROGRAMS
  if (folder === undefined) return join(installation, script)
  return join(folder, `${basename(script, '.ts')}.js`)
}

/** This process's environment without what the product reads of it. */
export function productEnvironment(): Readonly<NodeJS.ProcessEnv> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(GATESMITH_|OTEL_|(DATABASE_URL|NODE_OPTIONS)$)/.test(name),
  )
  return Object.fromEntries(inherited)
}

/** kill -9; resolves when it is gone. */
export async function kill({ child, ended }: Running): Promise<void> {
  child.kill('SIGKILL')
  await ended
}

/** Ctrl-C; resolves with the exit code when it is gone. */
export function interrupt({ child, ended }: Running): Promise<number | null> {
  child.kill('SIGINT')
  return ended
}

/** Looks again until `look` answers something else than undefined. Fails after `seconds`, saying what
 *  was waited for: long enough for a machine that is busy with other things. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  seconds = 300,
): Promise<T> {
  // Soon at first, then seldom: to look costs as much as what is waited for.
  let pause = 10
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await delay(pause)) {
    pause = Math.min(100, pause * 1.3)
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`${what}: not within ${seconds} s`)
}

/** Waits until the process has printed this, for its users or as an error; fails at once when it ends before. */
export async function untilSaid(
  { child, said }: Running,
  words: string,
  where: keyof Running['said'] = 'out',
): Promise<void> {
  const all = () => `${said.out}${said.err}`
  const found = await until(`"${words}"`, () => {
    if (said[where].includes(words)) return true
    return child.exitCode === null && child.signalCode === null ? undefined : false
  }).catch(() => false)
  if (!found) throw new Error(`the process does not say "${words}" but: ${all()}`)
}

/** Ports that are free, outside the range from which the system hands out others meanwhile. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = randomInt(12_000, 32_000)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

/** A folder for the tests of this file. */
export async function openFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gatesmith-e2e-'))
  // What a killed process left behind may still be ending, and writing.
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  return folder
}

/** What `serve` and `worker` need to run on a database. */
export async function settingsFor(databaseUrl: string): Promise<Readonly<Record<string, string>>> {
  const [port] = await freePorts(1)
  return {
    DATABASE_URL: databaseUrl,
    GATESMITH_SEALING_KEY: randomBytes(32).toString('base64'),
    GATESMITH_HOST: '127.0.0.1',
    GATESMITH_PORT: String(port),
    GATESMITH_LOG_LEVEL: 'warn',
  }
}

/** Waits until a server with these settings answers; fails at once when it ends before. */
export async function untilReady(
  running: Running,
  settings: Readonly<Record<string, string>>,
): Promise<string> {
  const url = `http://127.0.0.1:${settings.GATESMITH_PORT}`
  return until('the server is ready', async () => {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined)
    if (answer?.ok) return url
    const { child, said } = running
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(said.out + said.err)
    return undefined
  })
}
