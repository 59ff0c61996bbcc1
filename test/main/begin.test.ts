import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { openContext } from '../../src/core/context.ts'
import { migrate } from '../../src/core/database/migrate.ts'
import { openSession } from '../../src/core/database/postgres.ts'
import { admin, openTestContext, openTestDatabase, testConfig } from '../support/context.ts'
import { openssl } from '../support/openssl.ts'
import {
  interrupt,
  openFolder,
  settingsFor,
  startProcess,
  untilReady,
  untilSaid,
} from '../support/process.ts'

// What keeps a process from beginning is one clear sentence, and its exit code is 1.

type Settings = Readonly<Record<string, string>>

/** What each of these commands says before it ends. */
async function refusals(
  settings: Settings,
  commands: readonly string[] = ['serve', 'worker', 'migrate'],
): Promise<readonly string[]> {
  const all = commands.map((command) => startProcess([command], settings))
  const codes = await Promise.all(all.map(({ ended }) => ended))
  for (const [i, { said }] of all.entries()) {
    assert.equal(codes[i], 1, said.out + said.err)
    assert.match(said.err, /^gatesmith: .+\n$/)
  }
  return [...new Set(all.map(({ said }) => said.err))]
}

/** Asks PostgreSQL at this URL, once. */
async function query(url: string, text: string): Promise<void> {
  const session = await openSession(url)
  try {
    await session.query(text)
  } finally {
    await session.close()
  }
}

test('with another sealing key nothing starts that would seal by it, unless it can open all the same', async () => {
  const ctx = await openTestContext()
  const { sealingKey, databaseUrl } = ctx.config
  await createAuthority(ctx, admin, { name: 'ca', kind: 'root', subject: { commonName: 'ca' } })
  const settings = await settingsFor(databaseUrl)
  const [said = '', ...others] = await refusals(settings, ['serve', 'worker'])
  assert.deepEqual(others, [])
  assert.match(said, /^gatesmith: The sealing key is another one than .+FORMER\n$/)
  assert.ok(settings.GATESMITH_SEALING_KEY)
  assert.ok(!said.includes(settings.GATESMITH_SEALING_KEY))
  const former = { GATESMITH_SEALING_KEYS_FORMER: sealingKey.toString('base64') }
  const server = startProcess(['serve'], { ...settings, ...former })
  await untilReady(server, settings)
  assert.equal(await interrupt(server), 0)
})

test('a database that is somebody else’s is left as it is', async () => {
  const theirs = /is in use for something else: give DATABASE_URL one of its own\n$/
  for (const table of [
    'create table invoice (id int)',
    `create table _prisma_migrations as select '20200101_init' as migration_name, now() as finished_at, null::timestamptz as rolled_back_at`,
  ]) {
    const url = await openTestDatabase('template0')
    await query(url, table)
    const said = await refusals(await settingsFor(url))
    assert.equal(said.length, 1)
    assert.match(said[0] ?? '', theirs)
  }
})

test('a database that cannot be used is named, and its password is not', async () => {
  const url = new URL(await openTestDatabase('template0'))
  const changed = (parts: Partial<URL>) => Object.assign(new URL(url), parts).href
  for (const [wrong, names] of [
    [changed({ pathname: '/nowhere' }), /The database nowhere at .+: database "nowhere" does not/],
    [changed({ password: 'secret-word' }), /: password authentication failed for user "gatesmith"/],
    [changed({ hostname: 'localhost', port: '1' }), /ECONNREFUSED/],
    [changed({ hostname: 'database.invalid' }), /database\.invalid/],
  ] as const) {
    const said = (await refusals(await settingsFor(wrong))).join('')
    assert.match(said, names)
    assert.doesNotMatch(said, /secret-word/)
    assert.ok(!said.includes(url.password))
  }
})

test('a port that is taken is told with the setting that chooses another', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  after(() => taken.close())
  await once(taken, 'listening')
  const address = taken.address()
  assert.ok(typeof address === 'object' && address)
  const port = String(address.port)
  const folder = await openFolder()
  const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.crt')]
  const subject = ['-subj', '/CN=localhost', '-keyout', key, '-out', cert]
  openssl([
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...subject,
  ])
  const files = { GATESMITH_TLS_CERT_FILE: cert, GATESMITH_TLS_KEY_FILE: key }
  const settings = await settingsFor(await openTestDatabase())
  for (const [setting, commands, more] of [
    ['GATESMITH_PORT', ['serve'], {}],
    ['GATESMITH_METRICS_PORT', ['serve', 'worker'], {}],
    ['GATESMITH_TLS_PORT', ['serve'], files],
  ] as const) {
    assert.deepEqual(await refusals({ ...settings, ...more, [setting]: port }, commands), [
      `gatesmith: Port ${port} on 127.0.0.1 is already in use: set ${setting} to another one\n`,
    ])
  }
})

test('who finds another process migrating says that it waits, and then has nothing to do', async () => {
  const url = await openTestDatabase('template0')
  const settings = await settingsFor(url)
  const other = await openSession(url)
  await other.query('select pg_advisory_lock($1)', [0x67617465])
  const waiting = startProcess(['migrate'], settings)
  const server = startProcess(['serve'], { ...settings, GATESMITH_LOG_LEVEL: 'info' })
  const sentence = 'Another process migrates the database: waiting until it has ended'
  await untilSaid(server, sentence)
  await untilSaid(waiting, sentence, 'err')
  assert.equal(waiting.said.out, '')
  await other.close()
  assert.equal(await waiting.ended, 0)
  await untilReady(server, settings)
  assert.equal(await interrupt(server), 0)
  assert.deepEqual(await migrate(url), [])
})

test('a database that is too old is told what it lacks', async () => {
  // No older PostgreSQL can be had here: one that says so is asked.
  const url = await openTestDatabase('template0')
  const name = new URL(url).pathname.slice(1)
  await query(
    url,
    `create function current_setting(text) returns text language sql
       return case $1 when 'server_version_num' then '140022' else '14.22' end`,
  )
  await query(url, `alter database ${name} set search_path = public, pg_catalog`)
  assert.deepEqual(await refusals(await settingsFor(url)), [
    'gatesmith: PostgreSQL 14.22 is too old: it must be 15 or later\n',
  ])
})

test('a role that may not migrate is told who has to, and starts when that is done', async () => {
  const url = await openTestDatabase('template0')
  const role = `app_${randomUUID().replaceAll('-', '')}`
  await query(url, `create role ${role} login password 'app'`)
  const own = Object.assign(new URL(url), { username: role, password: 'app' }).href
  const said = await refusals(await settingsFor(own))
  assert.equal(said.length, 1)
  assert.match(
    said[0] ?? '',
    new RegExp(`: \\d+ migrations of this release are not applied, and "${role}" may not: run`),
  )
  const settings = await settingsFor(url)
  const granted = startProcess(['migrate', '--grant-to', role], settings)
  assert.equal(await granted.ended, 0, granted.said.err)
  const server = startProcess(['serve'], { ...settings, DATABASE_URL: own })
  await untilReady(server, settings)
  assert.equal(await interrupt(server), 0)
  await query(url, `drop owned by ${role}`)
  await query(url, `drop role ${role}`)
})

test('a database of a newer release is served, and the log says so', async () => {
  const url = await openTestDatabase()
  await query(
    url,
    `insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
     values ('newer', '', '99990101000000_more', now(), 1)`,
  )
  const settings = await settingsFor(url)
  const server = startProcess(['serve'], settings)
  await untilReady(server, settings)
  assert.match(server.said.out, /"newer":\["99990101000000_more"\].+migrations of a newer release/)
  assert.equal(await interrupt(server), 0)
  // Nor does it take anything away from it.
  const ctx = openContext(testConfig(url), {
    info: () => undefined,
    warn: () => undefined,
    error: console.error,
  })
  after(() => ctx.db.close())
  assert.equal(
    (await ctx.db.statement('select from _prisma_migrations where id = $1', ['newer'])).length,
    1,
  )
})
