import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { inUse, release } from './postmaster.ts'
import {
  type Account,
  environment,
  findAccount,
  findPrograms,
  initialise,
  nameOf,
} from './programs.ts'

/** A running PostgreSQL: `url` is for its superuser, on 127.0.0.1 alone. `stop` may be called twice. */
export type Database = { readonly url: string; stop(): Promise<void> }

type Options = {
  readonly directory: string
  readonly port: number
  /** Of PostgreSQL, beside our own or in place of them. */
  readonly settings?: Readonly<Record<string, string>>
  readonly log?: (line: string) => void
}

const host = '127.0.0.1'

/** A real PostgreSQL that keeps its state in `directory`, initialised at first use; port 0 is any free
 *  one. It ends when this process ends, however that happens, and it starts again after that: what a
 *  killed process left behind is stopped and recovered. Throws one sentence when the directory is in
 *  use by another live process or the port is taken. */
export async function startDatabase(options: Options): Promise<Database> {
  const directory = resolve(options.directory)
  const data = join(directory, 'data')
  const as = await findAccount()
  await mkdir(directory, { recursive: true, mode: 0o700 })
  if (as) await chown(directory, as.uid, as.gid)
  const password = await findPassword(directory, as)
  if (!(await exists(data))) await create(directory, data, as)
  await release(data)
  const { postgres } = await findPrograms(as)
  for (let attempt = 1; ; attempt++) {
    const port = options.port || (await freePort())
    const started = await spawnServer({ ...options, postgres, data, as, port })
    if (typeof started !== 'string') {
      const url = `postgresql://gatesmith:${password}@${host}:${port}/gatesmith`
      return { url, stop: () => stop(started) }
    }
    const busy = started.includes('could not bind') || started.includes('Address already in use')
    if (busy && options.port === 0 && attempt < 5) continue
    if (busy)
      throw new Error(
        `Port ${port} on ${host} is already in use: choose another port for the database`,
      )
    if (started.includes('postmaster.pid')) throw inUse(directory)
    throw new Error(`PostgreSQL did not start in ${directory}: ${started.trim()}`)
  }
}

async function findPassword(directory: string, as: Account | undefined): Promise<string> {
  const path = join(directory, 'password')
  const kept = await readFile(path, 'utf8').catch(() => '')
  if (kept) return kept.trim()
  const password = randomBytes(24).toString('base64url')
  await writeFile(`${path}.new`, password, { mode: 0o600 })
  if (as) await chown(`${path}.new`, as.uid, as.gid)
  await rename(`${path}.new`, path)
  return password
}

/** Two processes may do this at once: the first rename wins and the other uses its result. */
async function create(directory: string, data: string, as: Account | undefined): Promise<void> {
  try {
    await initialise(data, join(directory, 'password'), as)
  } catch (cause) {
    if (!(await exists(data))) throw cause
  }
  for (const name of await readdir(directory)) {
    if (name.startsWith('data.new-'))
      await rm(join(directory, name), { recursive: true, force: true })
  }
  await chmod(data, 0o700)
}

/** The watcher ends the server when descriptor 3 closes, as it does when our process ends in any way;
 *  it is forked twice, so that the postmaster does not take it for one of its own. The server is in a
 *  session of its own, or Ctrl-C would reach it before its clients have finished. */
const watched = '( ( read -r _ <&3; kill -INT $$ ) >/dev/null 2>&1 & ) ; exec "$0" "$@" 3<&-'

type Server = { readonly child: ChildProcess; readonly ended: Promise<void> }

/** The server once it accepts connections, or what it said before it ended. */
function spawnServer(options: {
  readonly postgres: string
  readonly data: string
  readonly as: Account | undefined
  readonly port: number
  readonly settings?: Readonly<Record<string, string>>
  readonly log?: (line: string) => void
}): Promise<Server | string> {
  const { data, as, port, log } = options
  const own = { unix_socket_directories: '', listen_addresses: host, fsync: 'on' }
  const settings = { ...own, ...options.settings, 'gatesmith.owner': process.pid }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const args = [
    '-c',
    watched,
    options.postgres,
    '-D',
    nameOf(data, as),
    '-p',
    String(port),
    ...flags,
  ]
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'ignore', 'pipe', 'pipe'] as const
    const child = spawn('/bin/sh', args, {
      cwd: data,
      ...as,
      env: environment(),
      detached: true,
      stdio: [...stdio],
    })
    child.stdio[3]?.on('error', () => {})
    const ended = new Promise<void>((done) => child.once('exit', () => done()))
    let said = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      const words = chunk.toString('utf8')
      for (const line of words.split('\n')) if (line) log?.(line)
      if (said === undefined) return
      said += words
      if (said.includes('ready to accept connections')) {
        said = ''
        resolve({ child, ended })
      }
    })
    child.once('error', reject)
    child.once('exit', () => child.stdio[3]?.destroy())
    child.once('close', () => resolve(said))
  })
}

async function stop({ child, ended }: Server): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
  await ended
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, host, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
