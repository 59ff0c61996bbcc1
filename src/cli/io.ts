import { readFile } from 'node:fs/promises'

/** What a command reads and writes, and who stops it: the process's own, or a test's. */
export type Io = {
  readonly out: Writer
  readonly err: Writer
  readonly input: AsyncIterable<Uint8Array | string>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether a person looks at `out`: colour and progress are for people. */
  readonly terminal: boolean
  readonly signal: AbortSignal
}

type Writer = { readonly write: (text: string) => unknown }

/** What the exit code of a command says; docs/cli.md has the same table. */
export const exits = {
  done: 0,
  /** The answer is no: there is a difference, a fault, a probe that is not as expected. */
  no: 1,
  /** The command, or a file that it was given, is not as it has to be. */
  usage: 2,
  refused: 3,
  credentials: 4,
  unknown: 5,
  conflict: 6,
  unavailable: 7,
  late: 8,
  interrupted: 130,
} as const

/** Ends a command with one sentence for its user, and this exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: number

  constructor(message: string, exitCode: number = exits.usage) {
    super(message)
    this.exitCode = exitCode
  }
}

/** The text of a file. Throws one sentence about one that cannot be read; `called` is what that calls it. */
export async function textOf(path: string, called = path): Promise<string> {
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new CommandError(`${called} cannot be read: ${error.message}`)
  })
}

/** A file in base64, as JSON carries octets. */
export async function base64Of(path: string, called = path): Promise<string> {
  return readFile(path, 'base64').catch((error: Error) => {
    throw new CommandError(`${called} cannot be read: ${error.message}`)
  })
}

/** The API key in a file. */
export async function tokenIn(path: string): Promise<string> {
  return (await textOf(path, "The token's file")).trim()
}

/** All of the standard input. */
export async function inputOf(io: Io): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of io.input) {
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
  }
  return text
}
