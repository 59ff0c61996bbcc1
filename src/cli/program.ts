import { type Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { FileOptions } from './files/apply.ts'
import { CommandError, exits, type Io } from './io.ts'
import type { ListOptions } from './look.ts'
import { outputs } from './print.ts'
import type { Remote } from './session/contexts.ts'

// What the commands that ask a service are called, and what they take. What they do is loaded when it is asked for.

const exitCodes = `
Exit codes:
  0 done                          5 not there
  1 the answer is no (diff, probe) 6 conflict with what is there
  2 wrong command or file         7 the service cannot be reached, or is busy
  3 refused                       8 not within the time
  4 API key missing or not enough 130 interrupted`

const environment = `
Environment:
  GATESMITH_SERVER, GATESMITH_TOKEN, GATESMITH_TENANT   instead of what login keeps
  GATESMITH_CONTEXT, GATESMITH_CONFIG                   another context, another file of contexts
  NO_COLOR                                              no colour on a terminal`

/** Adds the commands that ask a service, which print to `io`. Answers what tells the exit code of the one that ran. */
export function addClientCommands(program: Command, io: Io): () => number | undefined {
  let exitCode: number | undefined
  const run: Run = async (action) => {
    const answer = await action
    exitCode = typeof answer === 'number' ? answer : exits.done
  }
  addContexts(program, io, run)
  addReading(program, io, run)
  addFiles(program, io, run)
  addCertificates(program, io, run)
  addFollowing(program, io, run)
  addPlatform(program, io, run)
  program.addHelpText('after', `${exitCodes}\n${environment}`)
  return () => exitCode
}

type Run = (action: Promise<unknown>) => Promise<void>

/** Runs a command line to its end; answers its exit code. Errors of its user are one sentence; with
 *  GATESMITH_LOG_LEVEL=debug they come whole. */
export async function runProgram(
  program: Command,
  args: readonly string[],
  io: Io,
  outcome: () => number | undefined,
): Promise<number | undefined> {
  for (const command of [
    program,
    ...program.commands.flatMap((each) => [each, ...each.commands]),
  ]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
    })
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return outcome()
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exits.done : exits.usage
    if (io.signal.aborted) return exits.interrupted
    return told(error, io)
  }
}

async function told(error: unknown, io: Io): Promise<number> {
  const { ProblemError, UnreachableError } = await import('@gatesmith/client')
  if (error instanceof CommandError || error instanceof UnreachableError) {
    io.err.write(`gatesmith: ${error.message}\n`)
    return error instanceof CommandError ? error.exitCode : exits.unavailable
  }
  if (!(error instanceof ProblemError)) throw error
  const { exitOf, sentenceOf } = await import('./refusal.ts')
  const id = error.requestId === undefined ? '' : `, request ${error.requestId}`
  io.err.write(`gatesmith: ${sentenceOf(error)} (${error.type}${id})\n`)
  return exitOf(error)
}

function addContexts(program: Command, io: Io, run: Run): void {
  program
    .command('login')
    .argument('<server>', 'where the service is: https://gatesmith.example.com')
    .description('keep a service, and an API key or a sign-in there, as a context')
    .option('--token-file <file>', 'that the API key is in, - for the standard input')
    .option('--oidc', 'sign in as yourself in a browser, at the provider that the service names')
    .option('--client-id <id>', 'that the provider knows this program by, with --oidc', 'gatesmith')
    .option('--scope <scopes>', 'that the provider is asked for', 'openid offline_access')
    .option('--name <context>', 'of the context (default: the host of the server)')
    .option('-t, --tenant <tenant>', 'whose things are meant when nothing else is said')
    .option('--ca-file <file>', 'with the certificate that the server’s is trusted by (PEM)')
    .addHelpText(
      'after',
      `
The API key is asked for, or comes by --token-file, GATESMITH_TOKEN or the standard input; never on the command line,
where others could read it. It is kept in a file that only you can read. With --oidc there is none: you are told where
to go with which code, on any machine with a browser, and stay signed in for as long as the provider lets you.

  gatesmith login https://gatesmith.example.com
  pass show gatesmith | gatesmith login https://gatesmith.example.com --token-file -
  gatesmith login https://gatesmith.example.com --oidc
  gatesmith login http://127.0.0.1:4000 --token-file .gatesmith/token -t example`,
    )
    .action((server, options) =>
      run(import('./session/login.ts').then((it) => it.login(io, server, options))),
    )
  program
    .command('logout')
    .argument('[context]', 'the current one where none is named')
    .description('forget a context and its API key')
    .action((name) => run(import('./session/login.ts').then((it) => it.logout(io, name))))
  remote(
    program.command('whoami').description('who you are to the service, and what you may do'),
  ).action((options: Remote) =>
    run(import('./session/login.ts').then((it) => it.whoami(io, options))),
  )
  const context = program.command('context').description('what login has kept')
  output(context.command('list').description('all contexts; the current one has a star')).action(
    ({ output = 'table' }) =>
      run(import('./session/login.ts').then((it) => it.listContexts(io, output))),
  )
  context
    .command('use')
    .argument('<context>')
    .description('mean this one from now on')
    .action((name) => run(import('./session/login.ts').then((it) => it.setContext(io, { name }))))
  context
    .command('set')
    .requiredOption('-t, --tenant <tenant>', 'whose things are meant from now on')
    .description('change the current context')
    .action(({ tenant }) =>
      run(import('./session/login.ts').then((it) => it.setContext(io, { tenant }))),
    )
}

function addReading(program: Command, io: Io, run: Run): void {
  remote(program.command('get'))
    .argument(
      '<noun>',
      'hosts, certificates, tenants, authorities, clusters, acme-keys …; or host/<name>',
    )
    .argument('[names...]')
    .description('list things, or show some')
    .option('-l, --selector <labels>', 'that have these labels: env=prod,team')
    .option('--filter <parameter=value>', 'as the API takes it; give it once for each', collected)
    .option('--sort <member>', 'name, createdAt, notAfter …; with a minus in front downwards')
    .option('--limit <count>', 'at most so many', wholeNumber)
    .addHelpText(
      'after',
      `
  gatesmith get hosts                                    of your tenant; -A of all
  gatesmith get host shop.example.com -o yaml
  gatesmith get hosts -l env=prod --filter status=Failed
  gatesmith get certificates --filter expiringWithin=P30D --sort notAfter -o wide
  gatesmith get hosts -o name | xargs gatesmith wait --for Synced`,
    )
    .action((noun: string, names: readonly string[], options: ListOptions) =>
      run(import('./look.ts').then((it) => it.get(io, [noun, ...names], options))),
    )
  remote(program.command('describe'))
    .argument('<noun>', 'as get takes it')
    .argument('[names...]')
    .description('all that is known of one thing, its state on each cluster with it')
    .action((noun: string, names: readonly string[], options: Remote) =>
      run(import('./look.ts').then((it) => it.describe(io, [noun, ...names], options))),
    )
  remote(program.command('delete'))
    .argument('<noun>', 'hosts, certificates, tenants, authorities, clusters …; or host/<name>')
    .argument('[names...]')
    .description('take things away; of certificates those that were uploaded')
    .action((noun: string, names: readonly string[], options: Remote) =>
      run(import('./look.ts').then((it) => it.remove(io, [noun, ...names], options))),
    )
}

function addFiles(program: Command, io: Io, run: Run): void {
  const form = `
A file holds one or more documents (---), a directory .yaml, .yml and .json files:

  apiVersion: gatesmith.dev/v1
  kind: Host                       # or Tenant, Authority, Cluster
  metadata:
    name: shop.example.com
    tenant: example
    labels: { app: shop }
  spec:                            # what the API takes
    clusters: [sandbox]
    routes:
      - to: { service: httpbin, namespace: test, port: 80 }`
  files(program.command('apply'))
    .description('make what is in files so')
    .option('--dry-run', 'check and tell, and change nothing')
    .option('--prune', 'delete hosts that have the labels of -l and are in no file')
    .option('-l, --selector <labels>', 'for --prune: app=shop')
    .option('--wait', 'until the hosts are Synced: the certificate served is the one issued')
    .option('--timeout <seconds>', 'for --wait', wholeNumber, 120)
    .addHelpText(
      'after',
      `${form}

  gatesmith apply -f shop.yaml --wait
  gatesmith apply -f hosts/ --prune -l app=shop
  gatesmith export | gatesmith apply -f -                # changes nothing`,
    )
    .action((options: FileOptions) =>
      run(import('./files/apply.ts').then((it) => it.apply(io, options))),
    )
  files(program.command('diff'))
    .description('what apply would change, line by line; exit code 1 when there is a difference')
    .option('--prune', 'with what apply --prune would delete')
    .option('-l, --selector <labels>', 'for --prune')
    .action((options: FileOptions) =>
      run(import('./files/apply.ts').then((it) => it.diff(io, options))),
    )
  files(program.command('plan'))
    .description('what the hosts of files would change on their clusters, and what is in the way')
    .action((options: FileOptions) =>
      run(import('./files/plan.ts').then((it) => it.plan(io, options))),
    )
  remote(program.command('export'))
    .description('what is there, as YAML that applies without a change; no secrets are in it')
    .option('-l, --selector <labels>', 'hosts and tenants that have these labels')
    .option('--kind <kind>', 'Host, Tenant, Authority or Cluster; give it once for each', collected)
    .action((options) => run(import('./files/export.ts').then((it) => it.exportAll(io, options))))
}

function addCertificates(program: Command, io: Io, run: Run): void {
  const which = '<id>, certificate/<id> or host/<name>: the one that the host has in use'
  remote(program.command('issue'))
    .description('have a certificate issued')
    .requiredOption('--profile <profile>', 'server, client or peer')
    .option('--cn, --common-name <name>', 'of the subject')
    .option('--organization <name>', 'of the subject')
    .option('--dns <name>', 'a DNS name; give it once for each', collected)
    .option('--ip <address>', 'an IP address; give it once for each', collected)
    .option('--email <address>', 'an email address; give it once for each', collected)
    .option('--uri <uri>', 'a URI; give it once for each', collected)
    .option('--authority <authority>', 'that signs it (default: the tenant’s)')
    .option('--days <days>', 'that it is good for', wholeNumber)
    .option('--key-algorithm <algorithm>', 'ECDSA_P256, ECDSA_P384, RSA_2048 … ED25519')
    .option('--csr <file>', 'with a request, whose key stays where it is (PEM)')
    .option('--label <key=value>', 'give it once for each', collected)
    .option(
      '--idempotency-key <key>',
      'the same key is the same certificate, however often it is asked for',
    )
    .option('--out <file>', 'for certificate, chain and key (PEM, mode 0600)')
    .addHelpText(
      'after',
      `
  gatesmith issue --profile client --cn laptop --dns laptop.example.com --out laptop.pem
  gatesmith issue --profile server --csr request.pem -o json`,
    )
    .action((options) => run(import('./certificates.ts').then((it) => it.issue(io, options))))
  remote(program.command('upload'))
    .description('have hosts serve a certificate of a CA elsewhere: upload it with its key')
    .option('--certificate <file>', 'PEM, and those above it; give it once for each', collected)
    .option('--key <file>', 'with its private key (PEM), where that is not with it')
    .option('--pkcs12 <file>', 'instead of both: a .p12 or .pfx')
    .option('--passphrase-file <file>', 'of the store or the key; or GATESMITH_UPLOAD_PASSPHRASE')
    .option('--replaces <certificate>', `whose place it takes: ${which}`)
    .option('--label <key=value>', 'give it once for each', collected)
    .option('--dry-run', 'check and tell, and change nothing')
    .addHelpText(
      'after',
      `
  gatesmith upload --certificate fullchain.pem --key privkey.pem
  gatesmith upload --pkcs12 www.pfx --passphrase-file secret --replaces host/www.example.com`,
    )
    .action((options) => run(import('./certificates.ts').then((it) => it.upload(io, options))))
  remote(program.command('acme-key'))
    .argument('<name>', 'of the new key')
    .description('make a key by which ACME clients (certbot, cert-manager …) get certificates')
    .option('--authority <authority>', 'that alone it opens accounts of')
    .option('--within <domain>', 'that its names lie within; give it once for each', collected)
    .option('--challenges', 'names of the tenant are proved too')
    .addHelpText('after', '\n  gatesmith acme-key web-servers --within www.example.com')
    .action((name: string, options) =>
      run(import('./certificates.ts').then((it) => it.acmeKey(io, name, options))),
    )
  remote(program.command('renew'))
    .argument('<certificate>', which)
    .description('have another certificate of the same names issued, in place of this one')
    .option('--csr <file>', 'with a request for a key of your own (PEM)')
    .action((word: string, options) =>
      run(import('./certificates.ts').then((it) => it.renew(io, word, options))),
    )
  remote(program.command('revoke'))
    .argument('<certificate>', which)
    .description('revoke a certificate: the next handshake that checks is refused')
    .option('--reason <reason>', 'keyCompromise, superseded, cessationOfOperation … (unspecified)')
    .action((word: string, options) =>
      run(import('./certificates.ts').then((it) => it.revoke(io, word, options))),
    )
  remote(program.command('bundle'))
    .argument('<certificate>', which)
    .description('a certificate with its chain, and its key with --private-key')
    .addOption(new Option('--format <format>').choices(['pem', 'der', 'p12']).default('pem'))
    .addOption(
      new Option(
        '--compatibility <with>',
        'of p12: legacy for macOS, older Windows and Java',
      ).choices(['modern', 'legacy']),
    )
    .option('--private-key', 'with the private key, where the service made it')
    .option('--password-file <file>', 'for p12; or GATESMITH_BUNDLE_PASSWORD')
    .option('--out <file>', 'to write to; mode 0600 where a key is in it')
    .action((word: string, options) =>
      run(import('./certificates.ts').then((it) => it.bundle(io, word, options))),
    )
  remote(program.command('expiring'))
    .description('certificates that end soon, first things first')
    .option('--within <time>', '30d, 12h, 2w, or P30D as the API has it', '30d')
    .option('--limit <count>', 'at most so many', wholeNumber)
    .action((options) => run(import('./certificates.ts').then((it) => it.expiring(io, options))))
}

function addPlatform(program: Command, io: Io, run: Run): void {
  remote(program.command('listeners'))
    .argument('<cluster>')
    .description('which names the gateways of a cluster answer to, and where they lead')
    .option('--host <host>', 'of this host alone')
    .option('--port <port>', 'of this port alone')
    .option('--state <state>', 'active, error, warming, draining or unread')
    .action((cluster: string, options) =>
      run(import('./clusters.ts').then((it) => it.listeners(io, cluster, options))),
    )
  remote(program.command('inventory'))
    .description('certificates that gateways hold and that nobody has here, first things first')
    .option('--cluster <cluster>', 'of this one alone')
    .option('--within <time>', 'that end within 30d, 12h, 2w, or P30D as the API has it')
    .option('--name <name>', 'that bear this name, or are served for it')
    .action((options) => run(import('./clusters.ts').then((it) => it.inventory(io, options))))
  remote(program.command('mesh-tls'))
    .argument('<cluster>')
    .description('the least TLS versions of a mesh; sets them where asked to')
    .option('--mesh <version>', 'between workloads: TLS_AUTO, TLSV1_2, TLSV1_3 or default')
    .option('--defaults <version>', 'of everything else: the same words')
    .option('--dry-run', 'show what would change, and change nothing')
    .option('--force', 'where something else owns the configuration, too')
    .option('--revision <revision>', 'of Istio')
    .action((cluster: string, options) =>
      run(import('./clusters.ts').then((it) => it.meshTls(io, cluster, options))),
    )
  remote(program.command('audit'))
    .description('who did what, newest first')
    .option(
      '--filter <parameter=value>',
      'action, subject, actor, requestId … as the API takes them',
      collected,
    )
    .option('--since <time>', 'from then on: 2026-11-01T00:00:00Z')
    .option('--limit <count>', 'at most so many (50)', wholeNumber)
    .option('--export', 'all of it, oldest first, one JSON a line: what audit verify reads')
    .action((options) => run(import('./clusters.ts').then((it) => it.audit(io, options))))
  remote(program.command('graphql'))
    .argument('<query>')
    .description('ask by GraphQL')
    .option('--variable <name=value>', 'give it once for each', collected)
    .action((query: string, options) =>
      run(import('./clusters.ts').then((it) => it.graphql(io, query, options))),
    )
  program
    .command('completion')
    .argument('<shell>', 'bash, zsh or fish')
    .description('print what makes your shell complete gatesmith’s words')
    .addHelpText(
      'after',
      `
  bash: source <(gatesmith completion bash)
  zsh:  source <(gatesmith completion zsh)
  fish: gatesmith completion fish | source`,
    )
    .action((shell: string) =>
      run(
        import('./completion.ts').then((it) => {
          io.out.write(it.completion(program, shell))
        }),
      ),
    )
}

function addFollowing(program: Command, io: Io, run: Run): void {
  remote(program.command('wait'))
    .argument('<hosts...>', 'host/<name> …')
    .description('wait until hosts are Synced, Applied, Settled or Removed')
    .requiredOption('--for <state>', 'Synced: the certificate served is the one issued')
    .option('--timeout <seconds>', 'for all together', wholeNumber, 120)
    .action((words: readonly string[], options) =>
      run(import('./follow.ts').then((it) => it.wait(io, words, options))),
    )
  remote(program.command('probe'))
    .argument('<host>')
    .description('what the ingress serves, seen by a handshake; exit code 1 when not as expected')
    .option('--cluster <cluster>', 'on this one alone')
    .option('--path <path>', 'to ask for')
    .option('--client-certificate <id>', 'to show, of this tenant')
    .action((host: string, options) =>
      run(import('./follow.ts').then((it) => it.probe(io, host.replace(/^host\//, ''), options))),
    )
  remote(program.command('events'))
    .description('what happened to hosts, certificates and clusters')
    .option('-f, --follow', 'as it happens, until Ctrl-C')
    .option('--after <id>', 'behind this event; 0-0: from the oldest that is kept')
    .option('--limit <count>', 'at most so many', wholeNumber)
    .action((options) => run(import('./follow.ts').then((it) => it.events(io, options))))
}

function remote(command: Command): Command {
  return output(command)
    .option('-t, --tenant <tenant>', 'whose things are meant')
    .option('-A, --all-tenants', 'of all tenants, for platform-wide keys')
    .option('--server <url>', 'of the service')
    .option('--token-file <file>', 'with the API key')
    .option('--context <name>', 'another one than the current')
}

function output(command: Command): Command {
  return command.addOption(new Option('-o, --output <format>', 'how to print').choices(outputs))
}

function files(command: Command): Command {
  return remote(command)
    .requiredOption(
      '-f, --filename <path>',
      'a file, a directory, - for the input; give it once for each',
      collected,
    )
    .option('-R, --recursive', 'directories with all that is below')
    .option('--credentials', 'send credentials to clusters that are registered already, too')
}

function collected(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function wholeNumber(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('give a whole number from 1')
}
