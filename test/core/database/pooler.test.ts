import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chown, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { findAccount } from '../../../sandbox/postgres/programs.ts'
import { httpOf, makeShop } from '../../e2e/stage.ts'
import { openTestDatabase } from '../../support/context.ts'
import {
  adminKey,
  freePorts,
  interrupt,
  openFolder,
  settingsFor,
  startProcess,
  until,
  untilReady,
  untilSaid,
  watched,
} from '../../support/process.ts'

// PgBouncer in transaction mode: what goes through it, and what leads past it (docs/growing.md).

const found = spawnSync('pgbouncer', ['--version']).status === 0
const skip = found ? false : 'pgbouncer is not on PATH'
const note = skip ? ` (skipped: ${skip})` : ''
/** How many connections to PostgreSQL it has for all that are asked of it. */
const size = 3

test(`past a pooler lead the few sessions that hold something, and all else goes through${note}`, {
  skip,
}, async (t) => {
  const direct = await openTestDatabase()
  const pooled = await openPooler(new URL(direct))
  const settings = { ...(await settingsFor(pooled)), GATESMITH_DATABASE_POOL: '20' }

  for (const command of ['serve', 'worker', 'migrate']) {
    const { ended, said } = startProcess([command], settings)
    assert.equal(await ended, 1)
    const sentence =
      'A pooler stands before the database: give GATESMITH_DATABASE_DIRECT_URL, which'
    assert.equal(said.err, `gatesmith: ${sentence} leads past it\n`)
  }

  const both = { ...settings, GATESMITH_DATABASE_DIRECT_URL: direct }
  const migrated = startProcess(['migrate'], both)
  assert.equal(await migrated.ended, 0, migrated.said.err)
  const token = await adminKey(both)
  const server = startProcess(['serve'], both)
  const worker = startProcess(['worker', '--concurrency', '4'], both)
  const url = await untilReady(server, both)
  const http = httpOf(url, token)
  await makeShop(http)

  // Who follows hears by LISTEN.
  const events = await fetch(`${url}/v1/tenants/shop/events`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
  })
  assert.equal(events.status, 200)
  const heard = listenTo(events)

  // Transactions and their locks, forty at a time where there are three connections.
  const order = (i: number) =>
    http
      .post('/v1/tenants/shop/certificates')
      .send({ profile: 'server', dnsNames: [`n${i}.shop.test`] })
      .expect(201)
  const issued = await Promise.all(Array.from({ length: 40 }, (_, i) => order(i)))
  assert.equal(new Set(issued.map(({ body }) => body.serial)).size, 40)
  const [first] = issued
  await until('the stream tells of it', () => heard.text.includes(first?.body.id) || undefined)

  // The worker takes what is due, holds its lease, and is known to live.
  const { id, serial } = first?.body ?? {}
  await http
    .post(`/v1/tenants/shop/certificates/${id}/revoke`)
    .send({ reason: 'superseded' })
    .expect(200)
  await until('the list has it', async () => {
    const list = Buffer.from(await (await fetch(`${url}/pki/ca/crl`)).arrayBuffer())
    return list.includes(Buffer.from(serial, 'hex')) || undefined
  })
  await until('the worker is known', async () => {
    const { body } = await http.get('/readyz')
    return body.checks.workers.status === 'ok' || undefined
  })

  const pools = await consoleSays(pooled, 'show pools')
  const own = pools.find(({ database }) => database === new URL(direct).pathname.slice(1))
  assert.equal(own?.pool_mode, 'transaction')
  const used = ['sv_active', 'sv_idle', 'sv_used'].map((name) => Number(own[name]))
  assert.ok(used.reduce((sum, each) => sum + each) <= size, JSON.stringify(own))
  const all = await sessions(direct)
  t.diagnostic(`clients of the pooler: ${own.cl_active}; past it: ${all - size} at most`)
  await heard.stop()
  for (const running of [server, worker])
    assert.equal(await interrupt(running), 0, running.said.err)
})

/** Puts PgBouncer before a database; it goes with the tests of the file. Answers the URL through it. */
async function openPooler(direct: URL): Promise<string> {
  const { hostname: host, port, username, password, pathname } = direct
  const [own = 0] = await freePorts(1)
  const folder = await mkdtemp(join(await openFolder(), 'pooler-'))
  const ini = `[databases]
${pathname.slice(1)} = host=${host} port=${port} connect_query='set random_page_cost = 1.1'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${own}
unix_socket_dir =
pool_mode = transaction
default_pool_size = ${size}
max_client_conn = 200
auth_type = scram-sha-256
auth_file = userlist.txt
admin_users = ${username}
`
  await writeFile(join(folder, 'pgbouncer.ini'), ini)
  await writeFile(join(folder, 'userlist.txt'), `"${username}" "${password}"\n`)
  // It does not run as root, and finds its files from where it is started.
  const as = await findAccount()
  if (as) await chown(folder, as.uid, as.gid)
  const child = spawn('pgbouncer', ['pgbouncer.ini'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...as,
  })
  await untilSaid(watched(child), 'process up', 'err')
  return Object.assign(new URL(direct), { port: String(own) }).href
}

/** What PgBouncer's own console answers. */
async function consoleSays(url: string, command: string) {
  const client = new pg.Client({
    connectionString: Object.assign(new URL(url), { pathname: '/pgbouncer' }).href,
  })
  await client.connect()
  try {
    return (await client.query(command)).rows
  } finally {
    await client.end()
  }
}

/** How many sessions there are in a database but for the one that asks. */
async function sessions(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query(
      'select count(*)::int - 1 as count from pg_stat_activity where datname = current_database()',
    )
    return rows[0].count
  } finally {
    await client.end()
  }
}

/** Reads a stream as it comes. */
function listenTo({ body }: Response) {
  const heard = { text: '', stop: async () => reader?.cancel() }
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader()
  const read = async () => {
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      heard.text += next.value
    }
  }
  void read()
  return heard
}
