import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { buildServer } from '../../../src/api/server.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { type Context, openContext } from '../../../src/core/context.ts'
import { hangBell } from '../../../src/core/database/bells.ts'
import { openLeases } from '../../../src/jobs/leases.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openRelay } from '../../support/relay.ts'

const base = await openTestContext()
await createAuthority(base, admin, {
  name: 'house',
  kind: 'root',
  subject: { commonName: 'house' },
})

/** A process whose log is not printed. */
async function processWith(config: Partial<Context['config']> = {}) {
  const quiet = () => undefined
  const log = { info: quiet, warn: quiet, error: quiet }
  const ctx = openContext({ ...base.config, ...config }, log)
  const api = await buildServer(ctx)
  const close = async () => {
    await api.close()
    await ctx.db.close()
  }
  return { ctx, api, close }
}

/** What a process with these settings tells of itself at once. */
async function readiness(config: Partial<Context['config']> = {}) {
  const { api, close } = await processWith(config)
  const answer = await api.inject('/readyz')
  await close()
  const { status, checks } = answer.json()
  const told = Object.entries<{ status: string }>(checks).map(([name, one]) => [name, one.status])
  return { code: answer.statusCode, status, answer, is: Object.fromEntries(told) }
}

test('a process is ready when it has all that it needs, and says that no worker runs', async () => {
  const { code, status, is, answer } = await readiness()
  assert.deepEqual([code, status], [200, 'ready'])
  const fine = { database: 'ok', migrations: 'ok', sealing: 'ok', listening: 'ok' }
  assert.deepEqual(is, { ...fine, workers: 'warning' })
  assert.equal(answer.headers['cache-control'], 'no-store')
  const leases = await openLeases(base)
  await leases.hold('pool')
  assert.equal((await readiness()).is.workers, 'ok')
  await leases.stop()
  assert.equal((await readiness()).is.workers, 'warning')
})

test('another sealing key, and migrations that are missing, are told without a name or a key', async () => {
  const other = randomBytes(32)
  const sealed = await readiness({ sealingKey: other })
  assert.deepEqual([sealed.code, sealed.status, sealed.is.sealing], [503, 'unready', 'failed'])
  assert.equal(sealed.answer.headers['retry-after'], '1')
  const both = { sealingKey: other, formerSealingKeys: [base.config.sealingKey] }
  assert.equal((await readiness(both)).code, 200)
  await base.db.statement(
    'update _prisma_migrations set finished_at = null where migration_name like $1',
    ['%_first'],
  )
  const missing = await readiness()
  assert.deepEqual([missing.code, missing.is.migrations], [503, 'failed'])
  assert.equal(missing.is.sealing, 'unknown')
  await base.db.statement('update _prisma_migrations set finished_at = now()', [])
  assert.doesNotMatch(sealed.answer.body + missing.answer.body, /_first|authority|[0-9a-f]{16}/)
})

test('a database that is away, and a session for news that is lost, are told until they are back', async () => {
  const url = new URL(base.config.databaseUrl)
  const port = Number(url.port)
  const relay = await openRelay(() => port)
  url.port = String(relay.port)
  const far = await processWith({ databaseUrl: url.href })
  const news = { ...base, config: { ...base.config, databaseUrl: url.href }, log: far.ctx.log }
  const listening = await buildServer(news)
  const until = async (api: typeof far.api, what: RegExp) => {
    while (!what.test((await api.inject('/readyz')).body)) await delay(20)
  }
  await until(far.api, /"status":"ready"/)
  const bell = await hangBell(news, 'gatesmith_hosts', ['one'])
  await until(listening, /"status":"ready"/)
  relay.block()
  await until(far.api, /"status":"unready".*"database":\{"status":"failed"/)
  await until(
    listening,
    /"status":"unready".*"database":\{"status":"ok".*"listening":\{"status":"failed"/,
  )
  assert.equal((await far.api.inject('/livez')).statusCode, 200)
  relay.mend()
  await until(far.api, /"status":"ready"/)
  await until(listening, /"status":"ready"/)
  bell.close()
  await listening.close()
  await far.close()
})
