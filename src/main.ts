#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'

// Each command reads its settings first, then loads what it needs and no more: a command that asks a service starts
// as fast as Node does.

/** Those that are the service, and have its settings. */
const isService = /^(serve|worker|migrate|admin-key|rewrap)$/.test(process.argv[2] ?? '')
// What is compiled is kept for the next command: in the user's own folder, since whoever can write there runs code here.
if (!isService) {
  enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gatesmith'))
}
const { InvalidArgumentError } = await import('commander')
const { runGatesmith } = await import('./main/commandline/gatesmith.ts')
const environment = isService ? await settingsHelp() : ''

async function settingsHelp(): Promise<string> {
  const { settings } = await import('./core/settings/environment.ts')
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
Copies of the database from before step 3 need the old key.
What is said of a variable holds for _FILE and _COMMAND: so a key moves to a KMS or an HSM, too (docs/sealing.md).`

function count(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 100) {
    throw new InvalidArgumentError('give a number from 1 to 100')
  }
  return number
}

function addService(gatesmith: Command): void {
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
      const { directUrl } = await import('./core/config.ts')
      const url = directUrl(await config())
      const { migrate } = await import('./core/database/migrate.ts')
      const say = (_: object, sentence: string) => process.stderr.write(`${sentence}\n`)
      const applied = await migrate(url, { info: say, warn: say, error: say })
      process.stdout.write(
        applied.length === 0 ? 'Up to date\n' : `Applied ${applied.join(', ')}\n`,
      )
      if (role === undefined) return
      const { grantTo } = await import('./core/database/grant.ts')
      await grantTo(url, role)
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
}

try {
  await runGatesmith({ add: addService, isService })
} catch (error) {
  process.stderr.write(`gatesmith: ${error instanceof Error ? error.message : String(error)}\n`)
  const { SettingError } = await import('./core/settings/environment.ts')
  if (!(error instanceof SettingError) && process.env.GATESMITH_LOG_LEVEL === 'debug') throw error
  process.exitCode = 1
}
