import { Command } from 'commander'
import { addClientCommands, runProgram } from '../../src/cli/program.ts'

type More = {
  readonly input?: string
  readonly env?: object
  /** Told of what is printed for a person, as it is printed. */
  readonly onErr?: (text: string) => void
}

/** The command line in this process, with its contexts in a file: what it prints is caught. */
export function openCommandLine(config: string) {
  return async (args: readonly string[], more: More = {}) => {
    const said = { out: '', err: '' }
    const io = {
      out: { write: (text: string) => (said.out += text) },
      err: {
        write: (text: string) => {
          said.err += text
          more.onErr?.(text)
        },
      },
      input: (async function* () {
        yield more.input ?? ''
      })(),
      env: { GATESMITH_CONFIG: config, ...more.env },
      terminal: false,
      signal: new AbortController().signal,
    }
    const program = new Command('gatesmith')
    const outcome = addClientCommands(program, io)
    const code = await runProgram(program, args, io, outcome)
    return { code, ...said }
  }
}
