#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Io } from './cli/io.ts'
import type { RbacFlags } from './main/rbac.ts'

// Each command reads its settings first, then loads what it needs and no more: a command that asks a service starts
// as fast as Node does.

/** Those that are the service, and have its settings. */
const isService = /^(serve|worker|migrate|admin-key|rewrap)$/.test(process.argv[2] ?? '')
// What is compiled is kept for the next command: in the user's own folder, since whoever can write there runs code here.
if (!isService) {
  enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gatesmith'))
}
const { Command, InvalidArgumentError } = await import('commander')
const { addClientCommands, runProgram } = await import('./cli/program.ts')
const environment = isService ? await settingsHelp() : ''

async function settingsHelp(): Promise<string> {
  const { settings } = await import('./core/config.ts')
  const lines = settings.map(([name, meaning]) => `  ${name.padEnd(36)}${meaning}`)
  return `\nEnvironment:\n${lines.join('\n')}`
}

async function config() {
  const { readConfig } = await import('./core/config.ts')
  return readConfig(process.env)
}

const changeOfKey = `
To change the sealing key while everything runs:
  1. give every process the new key as a former one (GATESMITH_SEALING_KEYS_FORMER), restart one by one:
     now all of them can open what the new key seals
  2. make the new key GATESMITH_SEALING_KEY and the old one a former one, restart one by one
  3. run gatesmith rewrap with the settings of step 2; it can be stopped and run again at any time
  4. when it says that nothing is left under another key, take the old key away, restart one by one
Copies of the database from before step 3 need the old key.`

function count(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 100) {
    throw new InvalidArgumentError('give a number from 1 to 100')
  }
  return number
}

function namespace(text: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text
  throw new InvalidArgumentError('give lower-case letters, digits and hyphens, 63 at most')
}

function namespaces(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, namespace(text)]
}

const rbacHelp = `
The rights, and nothing else: the objects of hosts in the ingress namespaces (Secret, Gateway, VirtualService),
Secrets in the workload namespaces, Gateways and VirtualServices of others to be read everywhere, and what
a check asks. What is missing later is said by: POST /v1/clusters/{cluster}/check; the same for a cluster that is
registered, with the namespaces of its hosts: GET /v1/clusters/{cluster}/rbac

To register a cluster with an account of its own:
  gatesmith rbac -i istio-system -w shop --token | kubectl apply -f -
  kubectl -n istio-system get secret gatesmith-token -o jsonpath='{.data.token}' | base64 -d
  kubectl -n istio-system get secret gatesmith-token -o jsonpath='{.data.ca\\.crt}' | base64 -d
  then POST /v1/clusters with these as "token" and "ca", and the URL of the API as "server"`

const gatesmith = new Command('gatesmith')
  .description('From a host name to working TLS on every Istio cluster that serves it')
  .showHelpAfterError()

gatesmith
  .command('serve')
  .description('serve the API; run any number of these')
  .addHelpText('after', environment)
  .action(async () => {
    const settings = await config()
    const { serve } = await import('./main/serve.ts')
    await serve(settings)
  })

gatesmith
  .command('worker')
  .description('work off what is due: issue, push, renew; run any number of these')
  .option(
    '--concurrency <jobs>',
    'jobs at a time, and a quarter as many that wait for silent clusters',
    count,
    24,
  )
  .addHelpText('after', environment)
  .action(async ({ concurrency }: { concurrency: number }) => {
    const settings = await config()
    const { work } = await import('./main/work.ts')
    await work(settings, concurrency)
  })

gatesmith
  .command('migrate')
  .description('bring the database to the schema of this release (serve and worker do so, too)')
  .option(
    '--grant-to <role>',
    'a role of PostgreSQL that is given what serve and worker need: to it the audit trail is append-only',
  )
  .addHelpText('after', environment)
  .action(async ({ grantTo: role }: { grantTo?: string }) => {
    const { databaseUrl } = await config()
    const { migrate } = await import('./core/database/migrate.ts')
    const applied = await migrate(databaseUrl)
    process.stdout.write(applied.length === 0 ? 'Up to date\n' : `Applied ${applied.join(', ')}\n`)
    if (role === undefined) return
    const { grantTo } = await import('./core/database/grant.ts')
    await grantTo(databaseUrl, role)
    process.stdout.write(`"${role}" may do what serve and worker need\n`)
  })

gatesmith
  .command('admin-key')
  .description('make a platform-wide admin API key and print its token, once')
  .option('--name <name>', 'name of the key; one of this name is revoked', 'first-admin')
  .addHelpText('after', environment)
  .action(async ({ name }: { name: string }) => {
    const settings = await config()
    const { printAdminKey } = await import('./main/adminkey.ts')
    await printAdminKey(settings, name)
  })

gatesmith
  .command('rewrap')
  .description('wrap everything sealed by the current sealing key, after a change of key')
  .addHelpText('after', `${changeOfKey}\n${environment}`)
  .action(async () => {
    const settings = await config()
    const { printRewrap } = await import('./main/rewrap.ts')
    await printRewrap(settings)
  })

const io = processIo()
const outcome = addClientCommands(gatesmith, io)

gatesmith.commands
  .find((command) => command.name() === 'audit')
  ?.command('verify')
  .argument(
    '<file>',
    'events as GET /v1/audit-events exports them with Accept: application/x-ndjson',
  )
  .option('--checkpoint <file>', 'a checkpoint that was kept: GET /v1/audit-events/checkpoint')
  .option('--key <key>', 'whom checkpoints are signed by: `key` of GET /v1/audit-events/verify')
  .description('look whether exported events are as they were written; needs no database')
  .addHelpText(
    'after',
    `
Each event is held against its place in the chain of its tenant. With a checkpoint and an export of everything,
the whole is held against what was signed then. Ends with 1 when something is wrong.`,
  )
  .action(async (file: string, options: { checkpoint?: string; key?: string }) => {
    const { printAuditVerification } = await import('./main/auditverify.ts')
    process.exitCode = await printAuditVerification(file, options)
  })

gatesmith
  .command('rbac')
  .argument('[cluster]', 'one that is registered: the service says what its hosts need')
  .description(
    'print the least rights that the service needs on a cluster, as YAML for kubectl apply',
  )
  .option(
    '-i, --ingress-namespace <namespace>',
    'of an ingress gateway; give it once for each (default: istio-system)',
    namespaces,
  )
  .option(
    '-w, --workload-namespace <namespace>',
    'that Secrets are delivered to, as for PASSTHROUGH hosts; give it once for each',
    namespaces,
  )
  .option(
    '--restart-namespace <namespace>',
    'where Deployments are restarted for another certificate; give it once for each',
    namespaces,
  )
  .option(
    '--config-map-namespace <namespace>',
    'where certificates lie in ConfigMaps; give it once for each',
    namespaces,
  )
  .option('--istio-namespace <namespace>', 'of istiod', namespace, 'istio-system')
  .option(
    '--revision <revision>',
    'of Istio beside the default one, for --mesh-tls; give it once for each',
    namespaces,
  )
  .option('--name <name>', 'of the service account and its roles', namespace, 'gatesmith')
  .option(
    '-n, --namespace <namespace>',
    'of the service account (default: the first ingress namespace)',
    namespace,
  )
  .option('--gateway-api', 'for a cluster whose hosts are written in the Gateway API')
  .option(
    '--backend-namespace <namespace>',
    'that routes lead to, with --gateway-api; give it once for each',
    namespaces,
  )
  .option('--backend-tls', 'also DestinationRules, for routes that speak TLS to their backend')
  .option('--listeners', 'also to read the listeners of gateways from their pods')
  .option('--mesh-tls', 'also to read and set the TLS settings of the mesh')
  .option('--token', 'also a Secret in which Kubernetes puts a token that stays')
  .addHelpText('after', rbacHelp)
  .action(async (cluster: string | undefined, flags: RbacFlags) => {
    if (cluster !== undefined) {
      const { rbac } = await import('./cli/clusters.ts')
      return rbac(io, cluster, {})
    }
    const { printRbac } = await import('./main/rbac.ts')
    printRbac(flags)
  })

/** What a command that asks a service prints to, and who ends it. */
function processIo(): Io {
  const stop = new AbortController()
  if (!isService) process.once('SIGINT', () => stop.abort())
  // Whoever reads what is printed may have read enough: gatesmith get hosts | head
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    out: process.stdout,
    err: process.stderr,
    input: process.stdin,
    env: process.env,
    terminal: process.stdout.isTTY,
    signal: stop.signal,
  }
}

try {
  const exitCode = await runProgram(gatesmith, process.argv.slice(2), io, outcome)
  if (exitCode !== undefined) process.exitCode = exitCode
} catch (error) {
  process.stderr.write(`gatesmith: ${error instanceof Error ? error.message : String(error)}\n`)
  const { SettingError } = await import('./core/config.ts')
  if (!(error instanceof SettingError) && process.env.GATESMITH_LOG_LEVEL === 'debug') throw error
  process.exitCode = 1
}
