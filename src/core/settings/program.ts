import { type SpawnSyncOptionsWithBufferEncoding, spawnSync } from 'node:child_process'
import { meaning, SettingError } from './environment.ts'

/** For how long it is waited: a KMS answers within a second, and who starts processes waits a minute or two. */
const patience = 30_000
/** More is no key, and nothing that anybody reads. */
const mostOctets = 65_536
const mostTold = 400

/** What a program prints that a setting names, as octets, and what it says beside that. The setting is a JSON array, the program and its arguments:
 *  no shell reads it. The program is given this environment without the settings of ours, and no input; it and whatever
 *  it started are ended after `milliseconds`. What it says on standard error is told, what it prints never.
 *  Throws SettingError, one sentence. */
export function printedBy(
  setting: string,
  text: string,
  { environment, milliseconds = patience }: Asking,
): { readonly printed: Buffer; readonly said: string } {
  const [program, ...args] = readCommand(setting, text)
  const options: SpawnSyncOptionsWithBufferEncoding & { readonly detached: true } = {
    env: withoutOurs(environment),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: milliseconds,
    killSignal: 'SIGKILL',
    maxBuffer: mostOctets,
    // In a group of its own: what it has started ends with it, and none of them asks a terminal for a PIN.
    detached: true,
  }
  const { pid, stdout, stderr, status, signal, error } = spawnSync(program, args, options)
  endAll(pid)
  if (!error && status === 0) return { printed: stdout, said: told(stderr) }
  stdout?.fill(0)
  const why = reasonOf({ status, signal, error, milliseconds })
  throw new SettingError(`${setting}: ${quoted(program)} ${why}${told(stderr)}`)
}

type Asking = {
  readonly environment: NodeJS.ProcessEnv
  readonly milliseconds?: number
}

function readCommand(setting: string, text: string): readonly [string, ...string[]] {
  const [program, ...args] = stringsOf(text)
  if (program) return [program, ...args]
  throw new SettingError(`${setting} is not valid: it must be ${meaning(setting)}`)
}

function stringsOf(text: string): readonly string[] {
  try {
    const read: unknown = JSON.parse(text)
    if (!Array.isArray(read)) return []
    const strings = read.filter((each) => typeof each === 'string' && !each.includes('\0'))
    return strings.length === read.length ? strings : []
  } catch {
    return []
  }
}

/** Neither the database's password nor another secret of ours is its business; NODE_OPTIONS are for this process. */
function withoutOurs(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => !/^(GATESMITH_.*|DATABASE_URL|NODE_OPTIONS)$/.test(name),
    ),
  )
}

function endAll(pid: number): void {
  if (pid <= 0) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of them have ended.
  }
}

type Ending = {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly error: Error | undefined
  readonly milliseconds: number
}

function reasonOf({ status, signal, error, milliseconds }: Ending): string {
  const code = error && 'code' in error ? String(error.code) : undefined
  if (code === 'ETIMEDOUT') return `did not end within ${milliseconds / 1000} s and was stopped`
  if (code === 'ENOBUFS') return `printed more than ${mostOctets} octets, which is no key`
  if (code === 'ENOENT') return 'is no program that is there, or on the PATH'
  if (error) return `cannot be run (${code ?? error.message})`
  return signal === null ? `ended with ${status}` : `was ended by ${signal}`
}

/** What a program said, in one line: its end, where the error is. What looks like a key is left out. */
function told(stderr: Buffer | null | undefined): string {
  const line = (stderr?.toString('utf8') ?? '')
    .replace(/[A-Za-z0-9+/]{43}=|[0-9A-Fa-f]{64}/g, 'withheld')
    .replace(/[\s\p{C}]+/gu, ' ')
    .trim()
  if (line === '') return ''
  return `, and said: ${line.length > mostTold ? `…${line.slice(-mostTold)}` : line}`
}

function quoted(program: string): string {
  return JSON.stringify(program.slice(0, 200))
}
