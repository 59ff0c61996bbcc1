import { once } from 'node:events'
import { createReadStream, globSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { sql } from '../src/core/database/db.ts'
import { crowdClusters, raiseCrowd } from './crowd.ts'
import { peakMegabytes, setStage, startServer } from './stage.ts'

// Reading among many, over HTTP: node bench/search.ts [certificates] [tenants] [hosts] [events] [directory]
// The rows are the same in every run. With a directory the database is kept there and found again: the tables take
// minutes and 12 GB at their usual size. One client asks one thing after the other on one connection.

const [certificates = 1_000_000, tenants = 1_000, hosts = 10_000, events = 10_000_000] =
  process.argv.slice(2, 6).map(Number)
const settings = { shared_buffers: '1GB', max_wal_size: '16GB', checkpoint_timeout: '30min' }
const kept = process.argv[6] ?? (await mkdtemp(join(tmpdir(), 'gatesmith-bench-')))
const say = (line: string) => process.stdout.write(`${line}\n`)

// Rows that can be made again need not be on the disk at every moment, while they are made.
const making = await setStage({ kept, settings: { ...settings, fsync: 'off' } })
if ((await making.ctx.db.read.tenant.count({ where: { name: 'tenant-1' } })) === 0) {
  say(`making ${certificates} certificates of ${tenants} tenants, ${hosts} hosts, ${events} events`)
  await raiseCrowd(making.ctx, { certificates, tenants, hosts, events })
}
await making.stop()

const stage = await setStage({ kept, settings })
const { ctx } = stage
// What has been up for a while has its tables in memory, as far as they fit.
for (const file of globSync(join(kept, 'data', 'base', '*', '*'))) {
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), nowhere())
}

const port = 4200
const metricsPort = 4201
stage.environment.GATESMITH_METRICS_PORT = String(metricsPort)
const begun = performance.now()
const server = await startServer(stage, port)
say(`ready to serve after ${((performance.now() - begun) / 1000).toFixed(2)} s`)

const agent = new Agent({ keepAlive: true, maxSockets: 1 })

/** The answer's body; throws what is not 200. */
async function ask(path: string, body?: object): Promise<string> {
  const sent = request(`http://127.0.0.1:${port}${path}`, {
    agent,
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' },
  })
  sent.end(body && JSON.stringify(body))
  const [response] = await once(sent, 'response')
  const answered = await text(response)
  if (response.statusCode !== 200 || answered.startsWith('{"errors"')) {
    throw new Error(`${path}: ${response.statusCode} ${answered.slice(0, 500)}`)
  }
  return answered
}

/** Takes whatever it is given, and keeps nothing. */
function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() })
}

const bare = new pg.Client({ connectionString: ctx.config.databaseUrl })
await bare.connect()

/** How many requests the server has answered, and how many of them within 5 and 25 ms by its own clock; and the
 *  milliseconds of processor time that it and its database have had, whatever else the machine does. */
async function served() {
  const told = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  const sum = (pattern: RegExp) =>
    [...told.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0)
  const within = (seconds: string) =>
    sum(
      new RegExp(
        `^gatesmith_http_request_duration_seconds_bucket{le="${seconds}",.* (\\d+)$`,
        'gm',
      ),
    )
  const { rows } = await bare.query<{ pid: number }>(
    'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  const backends = await Promise.all(rows.map(({ pid }) => processorTime(pid)))
  return {
    all: sum(/^gatesmith_http_request_duration_seconds_count{.* (\d+)$/gm),
    fast: within('0.005'),
    fair: within('0.025'),
    server: 1000 * sum(/^process_cpu_seconds_total (\S+)$/gm),
    database: backends.reduce((total, one) => total + one, 0),
  }
}

/** In milliseconds; 0 where /proc is not. A tick is a hundredth of a second. */
async function processorTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return 10 * (Number(fields[11] ?? 0) + Number(fields[12] ?? 0))
}

async function timed(what: string, run: (turn: number) => Promise<unknown>, turns = 200) {
  for (let turn = 0; turn < turns / 10; turn++) await run(turn)
  const times: number[] = []
  const before = await served()
  for (let turn = 0; turn < turns; turn++) {
    const start = performance.now()
    await run(turn)
    times.push(performance.now() - start)
  }
  const after = await served()
  times.sort((a, b) => a - b)
  const at = (share: number) =>
    (times[Math.min(turns - 1, Math.floor(turns * share))] ?? 0).toFixed(1).padStart(6)
  const each = (key: 'server' | 'database') =>
    Math.max(0, (after[key] - before[key]) / turns)
      .toFixed(1)
      .padStart(5)
  const part = (key: 'fast' | 'fair') =>
    `${((100 * (after[key] - before[key])) / Math.max(1, after.all - before.all)).toFixed(0)} %`
  const inside =
    after.all === before.all ? '' : `   within 5 / 25 ms ${part('fast')} / ${part('fair')}`
  const cpu = `processor ${each('server')} + ${each('database')} ms`
  say(`${what.padEnd(52)} p50 ${at(0.5)}  p99 ${at(0.99)} ms   ${cpu}${inside}`)
}

/** The cursor before the page of this number, as the pages before would have led to it. */
async function cursorAt(page: number, { limit = 50, from = new Date(0) } = {}): Promise<string> {
  const rows = await ctx.db.read.$queryRaw<readonly { id: string; at: Date }[]>(sql`
    select "id"::text, "notAfter" as at from certificate
    where "cause" <> 'probe' and "status" = 'active' and "notAfter" >= ${from}
    order by "notAfter", "id" offset ${(page - 1) * limit - 1}::int limit 1`)
  const [{ id, at } = { id: '', at: from }] = rows
  return Buffer.from(JSON.stringify(['notAfter', at.toISOString(), id])).toString('base64url')
}

type Filters = Readonly<Record<string, string | number>>
const query = (filters: Filters) =>
  Object.entries(filters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')
const all = (filters: Filters) => ask(`/v1/certificates?${query(filters)}`)
const own = (turn: number, filters: Filters) =>
  ask(`/v1/tenants/tenant-${1 + (turn % tenants)}/certificates?${query(filters)}`)
const trail = (filters: Filters) => ask(`/v1/audit-events?${query(filters)}`)
const graphql = (asked: string) => ask('/graphql', { query: asked })
const soon = { expiringWithin: 'P30D' } as const

// What a server runs often it compiles well, after some hundred requests: its first minute is not what is measured.
for (let turn = 0; turn < 500; turn++) {
  await all(soon)
  await own(turn, soon)
  await trail({})
}

say('\nthe machine')
await timed('select 1, by pg', () => bare.query('select 1'))
await timed('GET /livez', () => ask('/livez'))
await timed('GET /v1/whoami', () => ask('/v1/whoami'))

say('\ncertificates, 50 a page')
const far = Math.min(10_000, Math.floor(certificates / 100))
const farCursor = await cursorAt(far)
const soonCursor = await cursorAt(Math.min(far, 1_500), { from: new Date() })
await timed('first page', () => all({}))
await timed(`page ${far}`, () => all({ cursor: farCursor }))
await timed('ending in 30 days: first page', () => all(soon))
await timed('ending in 30 days: page 1500', () => all({ ...soon, cursor: soonCursor }))
await timed('ending in 30 days, by GraphQL', () =>
  graphql('{ expiringCertificates(within: "P30D") { items { id dnsNames notAfter } } }'),
)
await timed('ending in 30 days: of a tenant', (turn) => own(turn, soon))
await timed('ending in 30 days: of the largest tenant', () => own(0, soon))
await timed('ending in 30 days: of an authority', () => all({ ...soon, authority: 'crowd-large' }))
await timed('ending in 30 days: of a small authority', () =>
  all({ ...soon, authority: 'crowd-small' }),
)
await timed('ending in 30 days: on a cluster', (turn) =>
  all({ ...soon, cluster: `cluster-${1 + (turn % crowdClusters)}` }),
)
await timed('ending in 30 days: of a tenant, on a cluster', (turn) =>
  own(turn, { ...soon, cluster: `cluster-${1 + (turn % crowdClusters)}` }),
)
await timed('revoked, all', () => all({ status: 'revoked' }))
await timed('revoked, of a tenant', (turn) => own(turn, { status: 'revoked' }))
await timed('newest first', () => all({ sort: '-createdAt' }))
await timed('a label', (turn) => all({ label: `team=t${turn}` }))
await timed('a label of a third of all', () => all({ label: 'env=prod' }))
await timed('a label, of a tenant', (turn) => own(turn, { label: `team=t${turn}` }))

say('\nnames, serials')
const nameOf = (n: number) => `srv${n}.tenant-${1 + ((n / 10) % tenants)}.example.com`
await timed('exact name', (turn) => all({ name: `srv${turn * 977}.tenant-1.example.com` }))
await timed('*.tenant-N.example.com', (turn) =>
  all({ name: `*.tenant-${1 + (turn % tenants)}.example.com` }),
)
await timed('*.tenant-1.example.com (a tenth of all)', () =>
  all({ name: '*.tenant-1.example.com' }),
)
await timed('*.example.com (everything)', () => all({ name: '*.example.com' }))
await timed('*.example.com, ending in 30 days', () => all({ ...soon, name: '*.example.com' }))
await timed('*.tenant-N.example.com, ending in 30 days', (turn) =>
  all({ ...soon, name: `*.tenant-${1 + (turn % tenants)}.example.com` }),
)
await timed('*.example.com, in a tenant', (turn) => own(turn, { name: '*.example.com' }))
await timed('an exact name in the largest tenant', (turn) => own(0, { name: nameOf(turn * 10) }))
await timed('*.nowhere.test', () => all({ name: '*.nowhere.test' }))
await timed('serial', (turn) => all({ serial: `5${turn}` }))
await timed('fingerprint', (turn) => all({ fingerprint: turn.toString(16).padStart(64, '0') }))
await timed('host', (turn) =>
  all({ host: `www${turn}.tenant-${1 + (turn % tenants)}.example.com` }),
)

say('\nhistogram, counts')
const histogram = (args: string) => graphql(`{ expiries(${args}) { from count renewing } }`)
await timed('90 days', () => histogram('within: "P90D"'), 50)
await timed('365 days by week', () => histogram('within: "P365D", by: week'), 20)
await timed(
  '90 days, a tenant',
  (turn) => histogram(`within: "P90D", tenant: "tenant-${1 + (turn % tenants)}"`),
  50,
)
await timed(
  '90 days, the largest tenant',
  () => histogram('within: "P90D", tenant: "tenant-1"'),
  50,
)
await timed(
  '90 days, an authority',
  () => histogram('within: "P90D", authority: "crowd-large"'),
  20,
)
await timed('90 days, a cluster', () => histogram('within: "P90D", cluster: "cluster-3"'), 20)
await timed('count=true, all', () => all({ count: 'true', limit: 1 }), 50)
await timed('count=true, of a tenant', (turn) => own(turn, { count: 'true', limit: 1 }), 50)

say('\nhosts, deliveries')
await timed('hosts, first page', () => ask('/v1/hosts'), 100)
await timed('hosts that Failed', () => ask('/v1/hosts?status=Failed'), 100)
await timed(
  'hosts on a cluster',
  (turn) => ask(`/v1/hosts?cluster=cluster-${1 + (turn % crowdClusters)}`),
  100,
)
await timed(
  'hosts *.tenant-N',
  (turn) => ask(`/v1/hosts?name=*.tenant-${1 + (turn % tenants)}.example.com`),
  100,
)
await timed(
  'deliveries of a tenant',
  (turn) => ask(`/v1/tenants/tenant-${1 + (turn % tenants)}/deliveries`),
  100,
)

say('\naudit events')
const day = 86_400_000
const yearAgo = Date.now() - 365 * day
const moment = (time: number) => new Date(time).toISOString()
const month = { from: moment(yearAgo), to: moment(yearAgo + 30 * day) }
await timed('newest', () => trail({}))
await timed('of a tenant', (turn) => trail({ tenant: `tenant-${1 + (turn % tenants)}` }))
await timed('an action', () => trail({ action: 'host.changed' }))
await timed('a rare action', () => trail({ action: 'authority.rotated' }))
await timed(
  'an action of a tenant',
  (turn) => trail({ tenant: `tenant-${1 + (turn % tenants)}`, action: 'access.refused' }),
  100,
)
await timed(
  'a rare action of the largest tenant',
  () => trail({ tenant: 'tenant-1', action: 'authority.rotated' }),
  20,
)
await timed('by an actor', (turn) => trail({ actor: `ci-${1 + (turn % tenants)}` }))
await timed(
  'an action by an actor',
  (turn) => trail({ actor: `ci-${1 + (turn % tenants)}`, action: 'host.changed' }),
  100,
)
await timed('of a subject', (turn) => trail({ subjectKind: 'host', subject: `host${turn}` }), 20)
await timed('of a request', () => trail({ requestId: 'nowhere' }))
await timed('a month a year ago', () => trail(month), 20)
await timed(
  'a month a year ago, of a tenant',
  (turn) => trail({ ...month, tenant: `tenant-${1 + (turn % tenants)}` }),
  20,
)
await timed(
  'a month a year ago, of the largest tenant',
  () => trail({ ...month, tenant: 'tenant-1' }),
  20,
)
await timed('a month a year ago, an action', () => trail({ ...month, action: 'host.changed' }), 20)

say(`\nthe server has had ${await peakMegabytes(server)} MB resident at most`)
agent.destroy()
server.kill('SIGTERM')
await once(server, 'exit')
await bare.end()
await stage.stop()
if (process.argv[6] === undefined) await rm(kept, { recursive: true, force: true })
