import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { buildServer } from '../../src/api/server.ts'
import { readConfig } from '../../src/core/config.ts'
import { openContext } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { due } from '../../src/core/database/due.ts'
import { SettingError } from '../../src/core/settings/environment.ts'
import { inSpan } from '../../src/core/tracing.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { openLogger } from '../../src/main/logger.ts'
import { openTracing } from '../../src/main/tracing.ts'
import { tokenFor } from '../support/api.ts'
import { openTestDatabase, testConfig } from '../support/context.ts'
import { openReceiver, type ReceivedSpan } from '../support/otlp.ts'
import {
  freePorts,
  interrupt,
  settingsFor,
  startProcess,
  until,
  untilReady,
} from '../support/process.ts'
import { openFleet } from './fleet.ts'

// A service and a worker in one process, a cluster, and a receiver of OTLP over HTTP.

const stops: (() => Promise<unknown>)[] = []
after(async () => {
  for (const stop of stops.reverse()) await stop()
})

const receiver = await openReceiver()
stops.push(receiver.close)
const password = 'sent-as-a-header'
process.env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url
process.env.OTEL_EXPORTER_OTLP_HEADERS = `authorization=${password}`
// What other files start has no receiver.
stops.push(async () => {
  delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT
  delete process.env.OTEL_EXPORTER_OTLP_HEADERS
})

const quiet = () => undefined
const log = { info: quiet, warn: console.error, error: console.error }
const settings = {
  DATABASE_URL: 'postgres://localhost/none',
  GATESMITH_SEALING_KEY: randomBytes(32).toString('base64'),
}
const { traces } = readConfig({ ...process.env, ...settings })
assert.ok(traces)
const stopTracing = openTracing(traces, { log, service: 'gatesmith-serve' })
stops.push(stopTracing)

const ctx = openContext(testConfig(await openTestDatabase()), log)
stops.push(() => ctx.db.close())
const fleet = await openFleet(ctx, { healthy: 1, silent: 0 })
stops.push(fleet.stop)
const lines: string[] = []
const api = await buildServer(ctx, openLogger('info', { write: (line) => void lines.push(line) }))
stops.push(() => api.close())
const url = await api.listen({ host: '127.0.0.1', port: 0 })
const token = await tokenFor(ctx, null)
const worker = await startWorker(ctx, 4)
stops.push(worker.stop)

const traceId = randomBytes(16).toString('hex')
const callerId = randomBytes(8).toString('hex')
const [server, client, consumer] = [2, 3, 5]

async function ask(path: string, { headers, ...options }: RequestInit & { headers?: object } = {}) {
  const authorization = `Bearer ${token}`
  const answer = await fetch(url + path, { ...options, headers: { authorization, ...headers } })
  return { status: answer.status, text: await answer.text() }
}

function found(wanted: Partial<ReceivedSpan>): readonly ReceivedSpan[] {
  return receiver.spans.filter((span) =>
    Object.entries(wanted).every(([name, value]) =>
      Object.entries(span).some(([n, v]) => n === name && v === value),
    ),
  )
}

/** The one span that is like this. */
function only(wanted: Partial<ReceivedSpan>): ReceivedSpan {
  const [span, ...more] = found(wanted)
  assert.ok(
    span && more.length === 0,
    `${more.length + (span ? 1 : 0)} are ${JSON.stringify(wanted)}`,
  )
  return span
}

const path = '/v1/tenants/fleet/hosts/traced.fleet.test'

test('a host is asked for in a trace of the caller’s, and one is looked at later', async () => {
  const put = await ask(path, {
    method: 'PUT',
    headers: {
      'content-type': 'application/json',
      traceparent: `00-${traceId}-${callerId}-01`,
      tracestate: 'caller=of-the-portal',
    },
    body: JSON.stringify({
      routes: [{ to: { service: 'httpbin', namespace: 'test', port: 80 } }],
      clusters: fleet.healthy,
    }),
  })
  assert.equal(put.status, 201, put.text)
  await until('it is Synced', async () => {
    const { status } = JSON.parse((await ask(path)).text)
    return status.clusters[0].status === 'Synced' ? true : undefined
  })
  const refused = await ask(`${path}?nothing=secret-in-a-query`)
  assert.equal(refused.status, 422, refused.text)
  assert.equal((await ask('/livez')).status, 200)
  const failing = { name: 'failing', kind: 'server', facts: {} } as const
  const error = Object.assign(new TypeError('the key is 0xSECRET'), { code: 'P2034' })
  await assert.rejects(
    inSpan(failing, () => Promise.reject(error)),
    error,
  )
  // As a job that was asked for an hour ago.
  const { id: hostId } = await ctx.db.read.host.findFirstOrThrow()
  const at = new Date(Date.now() + 3_600_000)
  const asked = { name: 'asked', kind: 'server', facts: {} } as const
  await inSpan(asked, () => ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId }, at)))
  await ctx.db.transaction((tx) =>
    tx.$executeRaw(sql`
    update graphile_worker._private_jobs set run_at = now() where key = ${`host.certify/${hostId}`}`),
  )
  await until('it was looked at', async () => {
    const left = await ctx.db.read.$queryRaw<readonly unknown[]>(sql`
      select from graphile_worker._private_jobs where key = ${`host.certify/${hostId}`}`)
    return left.length === 0 ? true : undefined
  })
  await stopTracing()
})

test('a request, its jobs and their calls to the cluster are one trace', () => {
  const request = only({ traceId, kind: server })
  assert.equal(request.parentId, callerId)
  assert.equal(request.name, 'PUT /v1/tenants/:tenant/hosts/:host')
  assert.equal(request.service, 'gatesmith-serve')
  assert.equal(request.facts['http.route'], '/v1/tenants/:tenant/hosts/:host')
  assert.equal(request.facts['http.response.status_code'], 201)
  const certify = only({ traceId, name: 'process host.certify' })
  assert.equal(certify.parentId, request.spanId)
  assert.equal(certify.kind, consumer)
  const push = only({ traceId, name: 'process placement.push' })
  assert.equal(push.parentId, certify.spanId)
  for (const kind of ['secrets', 'gateways', 'virtualservices']) {
    const [call] = found({ traceId, name: `PATCH ${kind}` })
    assert.ok(call, kind)
    assert.equal(call.parentId, push.spanId)
    assert.equal(call.state, 'caller=of-the-portal')
    assert.equal(call.kind, client)
    assert.equal(call.facts['http.response.status_code'], 201)
    const template = `/namespaces/{namespace}/${kind}/{name}`
    assert.ok(String(call.facts['url.template']).endsWith(template), kind)
  }
  const [confirm] = found({ traceId, name: 'process placement.confirm' })
  assert.equal(confirm?.parentId, push.spanId)
})

test('what is done later has a trace of its own, linked to the one in which it was asked for', () => {
  const asked = only({ name: 'asked' })
  const later = found({ name: 'process host.certify' }).filter((span) => span.traceId !== traceId)
  assert.deepEqual(
    later.flatMap(({ links }) => links),
    [asked.traceId],
  )
  assert.equal(later[0]?.parentId, '')
})

test('of an error its kind is told, and never its message', () => {
  const { failed, facts } = only({ name: 'failing' })
  assert.deepEqual({ failed, facts }, { failed: true, facts: { 'error.type': 'TypeError P2034' } })
})

test('a refusal is no failure of the service, and probes are not traced', () => {
  const [refused] = receiver.spans.filter((span) => span.facts['http.response.status_code'] === 422)
  assert.equal(refused?.failed, false)
  assert.deepEqual(
    receiver.spans.filter(({ name }) => name.includes('livez')),
    [],
  )
})

test('the log says which trace a request is of', () => {
  const line = lines.find((each) => each.includes('"PUT"')) ?? '{}'
  assert.equal(JSON.parse(line).traceId, traceId)
})

test('a receiver that is away keeps no server from ending well', async () => {
  const [closed] = await freePorts(1)
  const own = await settingsFor(await openTestDatabase())
  const to = { ...own, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${closed}` }
  const server = startProcess(['serve'], to)
  const at = await untilReady(server, own)
  // One span at least is still to be sent.
  await fetch(`${at}/openapi.json`)
  assert.equal(await interrupt(server), 0, server.said.err)
  assert.match(server.said.out, /the last traces were not sent|traces are not sent as they should/)
})

test('no secret is in a span', async () => {
  const sent = Buffer.concat(receiver.octets)
  assert.ok(sent.includes('process placement.push'))
  const [sandbox] = fleet.sandboxes
  const kubeconfig = parse(sandbox?.kubeconfig ?? '')
  const user = Object.values<string>(kubeconfig.users[0].user)
  const secrets = [token, password, '0xSECRET', 'secret-in-a-query', 'PRIVATE KEY', ...user]
  assert.ok(user.length > 0)
  for (const secret of secrets) assert.ok(!sent.includes(secret), secret.slice(0, 20))
})

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' }
const rows = [
  [{}, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, undefined],
  [{ ...endpoint, OTEL_SDK_DISABLED: 'true' }, undefined],
  [{ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }, undefined],
  [endpoint, { sampler: 'parentbased_always_on', ratio: 1 }],
  [
    { ...endpoint, OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' },
    { sampler: 'traceidratio', ratio: 0.1 },
  ],
] as const
for (const [environment, wanted] of rows) {
  test(`traces are ${wanted ? 'sent' : 'not sent'} with ${JSON.stringify(environment)}`, () => {
    assert.deepEqual(readConfig({ ...settings, ...environment }).traces, wanted)
  })
}

for (const wrong of [
  { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
  { OTEL_TRACES_SAMPLER: 'jaeger_remote' },
  { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '10%' },
]) {
  test(`no process begins with ${JSON.stringify(wrong)}`, () => {
    assert.throws(() => readConfig({ ...settings, ...endpoint, ...wrong }), SettingError)
  })
}
