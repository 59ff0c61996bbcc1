import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { buildServer } from '../../src/api/server.ts'
import type { Config } from '../../src/core/config.ts'
import { type Context, openContext } from '../../src/core/context.ts'
import { migrate } from '../../src/core/database/migrate.ts'
import { defaultAcme } from '../../src/core/settings/acme.ts'
import { defaultQuotas, defaultRates } from '../../src/core/settings/limits.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { makeAdminKey } from '../../src/main/adminkey.ts'
import { openLogger } from '../../src/main/logger.ts'
import { runUntilSignal, type Stopping } from '../../src/main/stopping.ts'
import { day } from '../../src/shared/moment.ts'
import { authenticate } from '../../src/tenants/apikeys/authenticate.ts'
import { makeSignInCode } from '../../src/tenants/sessions/codes.ts'
import { startCluster } from '../cluster.ts'
import { startDatabase } from '../postgres/database.ts'
import { clientOf } from './client.ts'
import { writeWhole } from './files.ts'
import { seed } from './seed.ts'
import { welcome } from './welcome.ts'

/** What can be chosen for development mode. */
export type DevOptions = {
  readonly state: string
  readonly host: string
  readonly port: number
  readonly clusterPort: number
  readonly tlsPort: number
  readonly plainPort: number
  readonly logLevel: string
  readonly seed: boolean
}

/** Everything on this machine, for trying: an embedded PostgreSQL, the sandbox cluster,
 *  server and worker, seeded with the runbook's hosts. State lives in one folder and survives. */
export async function dev(options: DevOptions): Promise<void> {
  const begun = Date.now()
  const directory = resolve(options.state)
  const log = openLogger(options.logLevel)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await runUntilSignal(async (stops, signal) => {
    const say = (line: string) => process.stdout.write(`${line}\n`)
    say('Gatesmith development mode')
    const database = await startDatabase({ directory: join(directory, 'postgres'), port: 0 })
    stops.add('PostgreSQL', database.stop)
    say('  PostgreSQL is running')
    await migrate(database.url)
    const sandbox = await startCluster({
      ...options,
      apiPort: options.clusterPort,
      directory: join(directory, 'cluster'),
    })
    stops.add('the sandbox cluster', sandbox.stop)
    await writeFile(join(directory, 'kubeconfig'), sandbox.kubeconfig, { mode: 0o600 })
    say(`  the sandbox cluster is running at ${sandbox.apiUrl}`)
    const ctx = openContext(await configFor(options, database.url, directory), log)
    stops.add('the database connections', () => ctx.db.close())
    const { url, token } = await startService(ctx, { log, stops, directory })
    say(`  Gatesmith is listening at ${url}`)
    if (options.seed) {
      say('  making the runbook’s hosts …')
      const ingressAddress = `${options.host}:${sandbox.tlsPort}`
      const at = { kubeconfig: sandbox.kubeconfig, ingressAddress }
      await seed(clientOf(url, token), at, { directory, signal })
    }
    // Whoever reads this line can read the token, too.
    const code = await makeSignInCode(ctx, { token, milliseconds: day })
    const signIn = `${url}/console/#signin=${code}`
    say(welcome({ ...options, ...sandbox, url, signIn, seconds: (Date.now() - begun) / 1000 }))
  })
}

async function startService(
  ctx: Context,
  {
    log,
    stops,
    directory,
  }: { log: ReturnType<typeof openLogger>; stops: Stopping; directory: string },
): Promise<{ url: string; token: string }> {
  const api = await buildServer(ctx, log)
  stops.add('the HTTP server', () => api.close())
  const url = await api.listen({ host: ctx.config.host, port: ctx.config.port })
  const worker = await startWorker(ctx, 16)
  stops.add('the worker', worker.stop)
  return { url, token: await adminToken(ctx, join(directory, 'token')) }
}

/** The admin's token, kept in a file; a new one when there is none that is still in force. */
async function adminToken(ctx: Context, path: string): Promise<string> {
  const kept = (await readFile(path, 'utf8').catch(() => '')).trim()
  const inForce = await authenticate(ctx, {
    token: kept,
    requestId: 'dev',
    address: '127.0.0.1',
  }).catch(() => undefined)
  if (inForce) return kept
  const token = await makeAdminKey(ctx, 'development')
  await writeWhole(path, `${token}\n`)
  return token
}

async function configFor(
  options: DevOptions,
  databaseUrl: string,
  directory: string,
): Promise<Config> {
  const { host, port, logLevel } = options
  const path = join(directory, 'sealing.key')
  const kept = await readFile(path, 'utf8').catch(() => undefined)
  const text = kept?.trim() ?? randomBytes(32).toString('base64')
  if (kept === undefined) await writeWhole(path, `${text}\n`)
  return {
    databaseUrl,
    databasePool: 10,
    sealingKey: Buffer.from(text, 'base64'),
    host,
    port,
    publicUrl: `http://${host}:${port}`,
    logLevel,
    rates: defaultRates,
    quotas: defaultQuotas,
    trustedProxies: [],
    noticeRanges: ['127.0.0.0/8', '::1'],
    // Who tries it out has everything on this machine.
    acme: { ...defaultAcme, ranges: ['0.0.0.0/0', '::/0'] },
    caRanges: ['127.0.0.0/8', '::1'],
    development: true,
  }
}
