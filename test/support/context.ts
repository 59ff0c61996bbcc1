import { randomBytes, randomUUID } from 'node:crypto'
import { after } from 'node:test'
import pg from 'pg'
import { type Actor, systemActor } from '../../src/core/actor.ts'
import type { Config } from '../../src/core/config.ts'
import { type Context, openContext } from '../../src/core/context.ts'
import { defaultAcme } from '../../src/core/settings/acme.ts'
import { defaultQuotas, defaultRates } from '../../src/core/settings/limits.ts'

/** A migrated database of its own for this test file, dropped afterwards. Answers its URL. An empty one
 *  comes from `template0`. */
export async function openTestDatabase(
  template: 'gatesmith' | 'template0' = 'gatesmith',
): Promise<string> {
  const server = process.env.GATESMITH_TEST_DATABASE
  if (!server) throw new Error('Run the tests by `npm test`, which starts their PostgreSQL')
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await asOwner(server, async (client) => {
    // Cloning wants the template to itself: test files take turns.
    await client.query('select pg_advisory_lock(1)')
    await client.query(`create database ${name} template ${template} strategy file_copy`)
  })
  after(() => asOwner(server, (client) => client.query(`drop database ${name} with (force)`)))
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

async function asOwner(server: string, work: (client: pg.Client) => Promise<unknown>) {
  const url = new URL(server)
  url.pathname = '/postgres'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

/** Settings of a process under test. */
export function testConfig(databaseUrl: string): Config {
  return {
    databaseUrl,
    databasePool: 4,
    sealingKey: randomBytes(32),
    host: '127.0.0.1',
    port: 0,
    publicUrl: 'http://pki.gatesmith.test',
    rates: defaultRates,
    quotas: defaultQuotas,
    trustedProxies: [],
    noticeRanges: [],
    acme: defaultAcme,
    logLevel: 'silent',
    development: false,
  }
}

/** A context on a fresh database; what is logged as an error is printed, so that nothing is swallowed. */
export async function openTestContext(
  overrides: Partial<Pick<Context, 'now' | 'random'>> = {},
  settings: Partial<Config> = {},
): Promise<Context> {
  const url = await openTestDatabase()
  const quiet = () => undefined
  const log = { info: quiet, warn: quiet, error: console.error }
  const ctx = openContext({ ...testConfig(url), ...settings }, log, overrides)
  after(() => ctx.db.close())
  return ctx
}

/** A platform-wide admin, as the tests' hand on the actions. */
export const admin: Actor = { ...systemActor('test'), requestId: 'test' }
