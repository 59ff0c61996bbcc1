import { Command, InvalidArgumentError } from 'commander'
import type { RbacRemote } from '../../cli/clusters.ts'
import type { Io } from '../../cli/io.ts'
import { addClientCommands, runProgram } from '../../cli/program.ts'
import type { RbacFlags } from './rbac.ts'

// The command line: the commands that ask a service, and those that need none. dist/gatesmith/gatesmith.mjs is this alone; in
// main.ts the commands that are the service stand before them.

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

/** Runs this process's command line to its end, with its exit code. `add` adds commands before the others; what is the
 *  service has its own way to stop. */
export async function runGatesmith({
  add,
  isService = false,
}: {
  readonly add?: (program: Command) => void
  readonly isService?: boolean
} = {}): Promise<void> {
  const gatesmith = new Command('gatesmith')
    .description('From a host name to working TLS on every Istio cluster that serves it')
    .showHelpAfterError()
  add?.(gatesmith)
  const io = processIo(isService)
  const outcome = addClientCommands(gatesmith, io)
  addAuditVerify(gatesmith)
  addRbac(gatesmith, io)
  const exitCode = await runProgram(gatesmith, process.argv.slice(2), io, outcome)
  if (exitCode !== undefined) process.exitCode = exitCode
}

function addAuditVerify(gatesmith: Command): void {
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
      const { printAuditVerification } = await import('./auditverify.ts')
      process.exitCode = await printAuditVerification(file, options)
    })
}

function addRbac(gatesmith: Command, io: Io): void {
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
    .option(
      '--name <name>',
      'of the service account and its roles (default: gatesmith, or the one that is registered)',
      namespace,
    )
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
    .option('--server <url>', 'of the service, for a cluster that is registered')
    .option('--token-file <file>', 'with the API key, for a cluster that is registered')
    .option('--context <name>', 'another one than the current, for a cluster that is registered')
    .action(async (cluster: string | undefined, flags: RbacFlags & RbacRemote, command) => {
      const given = Object.keys(flags).filter(
        (name) => command.getOptionValueSource(name) === 'cli',
      )
      if (cluster !== undefined) {
        const { rbac } = await import('../../cli/clusters.ts')
        return rbac(io, cluster, { ...flags, given })
      }
      const { printRbac } = await import('./rbac.ts')
      printRbac(flags)
    })
}

/** What a command that asks a service prints to, and who ends it. */
function processIo(isService: boolean): Io {
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

function namespace(text: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text
  throw new InvalidArgumentError('give lower-case letters, digits and hyphens, 63 at most')
}

function namespaces(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, namespace(text)]
}
