import { createServer } from 'node:net'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { DevOptions } from './dev.ts'

// Development mode: what `npm start` runs.

function port(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 65_535) {
    throw new InvalidArgumentError('a port is a number from 1 to 65535')
  }
  return number
}

/** One clear sentence before anything is loaded or started, also for a second start in the same place. */
async function refuseBusyPorts(options: DevOptions): Promise<void> {
  const { host } = options
  const flags = [
    ['--port', options.port],
    ['--cluster-port', options.clusterPort],
    ['--tls-port', options.tlsPort],
    ['--plain-port', options.plainPort],
  ] as const
  for (const [flag, port] of flags) {
    if (await isBusy(host, port)) {
      throw new Error(
        `Port ${port} on ${host} is in use: stop what listens there (another Gatesmith?) or choose another with ${flag}`,
      )
    }
  }
}

function isBusy(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(true) : reject(error),
    )
    probe.listen(port, host, () => probe.close(() => resolve(false)))
  })
}

const start = new Command('npm start --')
  .description('try it on this machine: embedded PostgreSQL, sandbox cluster, server and worker')
  .showHelpAfterError()
  .option('--state <folder>', 'where everything is kept', '.gatesmith')
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--port <port>', 'port of the API', port, 4000)
  .option('--cluster-port <port>', 'port of the sandbox Kubernetes API', port, 4001)
  .option('--tls-port <port>', 'port of the sandbox ingress, TLS', port, 8443)
  .option('--plain-port <port>', 'port of the sandbox ingress, plain HTTP', port, 8080)
  .addOption(
    new Option('--log-level <level>', 'what is logged')
      .choices(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
      .default('warn'),
  )
  .option('--no-seed', 'start empty, without the runbook’s hosts')
  .action(async (options: DevOptions) => {
    await refuseBusyPorts(options)
    const { dev } = await import('./dev.ts')
    await dev(options)
  })

try {
  await start.parseAsync()
} catch (error) {
  process.stderr.write(`gatesmith: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
