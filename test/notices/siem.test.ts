import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { linkEvents } from '../../src/audit/chain/link.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { record } from '../../src/audit/record.ts'
import { type Config, readConfig } from '../../src/core/config.ts'
import { openContext } from '../../src/core/context.ts'
import { SettingError } from '../../src/core/settings/environment.ts'
import { forwardAudit, forwardsDue } from '../../src/notices/siem/forward.ts'
import { findForwards } from '../../src/notices/siem/status.ts'
import { syslogMessage } from '../../src/notices/siem/syslog.ts'
import { changeTenant, createTenant } from '../../src/tenants/write.ts'
import { admin, openTestDatabase, testConfig } from '../support/context.ts'
import { openssl } from '../support/openssl.ts'

const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
const cert = openssl(
  [
    'req',
    '-x509',
    '-key',
    'key.pem',
    '-subj',
    '/CN=siem',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
  ],
  { 'key.pem': key },
)

/** A syslog server as RFC 5425 has it; `refusing` ends connections before all was read. */
const received: Buffer[] = []
let refusing = false
const syslog = createTlsServer({ key, cert }, (socket: TLSSocket) => {
  socket.on('error', () => undefined)
  if (refusing) {
    socket.once('data', () => socket.destroy())
    return
  }
  socket.on('data', (chunk) => received.push(chunk))
})
syslog.on('tlsClientError', () => undefined)

const posts: { readonly headers: Record<string, unknown>; readonly body: string }[] = []
let answer = 200
const hook = createServer(async (request, response) => {
  posts.push({ headers: request.headers, body: await text(request) })
  response.writeHead(answer).end()
})
const portOf = async (server: typeof hook | typeof syslog) => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  after(() => server.close())
  return (server.address() as AddressInfo).port
}
const secret = `whsec_${randomBytes(32).toString('base64')}`
const siem = {
  webhook: { url: `http://127.0.0.1:${await portOf(hook)}/in?`, secret },
  syslog: { url: `tls://127.0.0.1:${await portOf(syslog)}`, ca: cert },
}
const base = testConfig(await openTestDatabase())
let now = new Date()
const warnings: object[] = []
const log = {
  info: () => undefined,
  warn: (facts: object) => void warnings.push(facts),
  error: console.error,
}

/** A process with these settings. */
function processWith(settings: Partial<Config>) {
  const ctx = openContext({ ...base, noticeRanges: ['127.0.0.1'], ...settings }, log, {
    now: () => now,
  })
  after(() => ctx.db.close())
  return ctx
}
const ctx = processWith({ siem })
await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })

/** What the octets say, by counting them (RFC 6587 3.4.1). */
function messages(octets: Buffer): readonly string[] {
  const found: string[] = []
  for (let at = 0; at < octets.length; ) {
    const space = octets.indexOf(' ', at)
    const length = Number(octets.subarray(at, space).toString())
    found.push(octets.subarray(space + 1, space + 1 + length).toString())
    at = space + 1 + length
  }
  return found
}
const syslogged = (): readonly AuditEvent[] =>
  messages(Buffer.concat(received)).map((each) =>
    JSON.parse(each.slice(each.indexOf('\ufeff') + 1)),
  )
const posted = (): readonly AuditEvent[] =>
  posts.flatMap(({ body }) => JSON.parse(body).data.events)
const indexes = (events: readonly AuditEvent[]) => events.map(({ chain }) => Number(chain?.index))
const upTo = (size: number) => [...Array(size).keys()]

test('the trail is told to both, in the order of its links, signed and framed, and each event once', async () => {
  for (const owner of ['a', 'b "c" ]\\']) {
    await changeTenant(ctx, admin, { name: 'shop', patch: { owner } })
  }
  await linkEvents(ctx)
  for (const kind of ['webhook', 'syslog'] as const) {
    await forwardAudit(ctx, { kind })
    await forwardAudit(ctx, { kind })
  }
  assert.deepEqual(indexes(syslogged()), upTo(3))
  assert.deepEqual(posted(), syslogged())
  const [first] = messages(Buffer.concat(received))
  assert.match(
    first ?? '',
    /^<110>1 \d{4}-\d\d-\d\dT\S+Z pki\.gatesmith\.test gatesmith - tenant\.created \[event@32473 seq="\d+" index="0" tenant="shop" actor="test" subjectKind="tenant" subject="shop"\] \ufeff\{/,
  )
  const [post] = posts
  const {
    'webhook-id': id,
    'webhook-timestamp': at,
    'webhook-signature': signature,
  } = post?.headers ?? {}
  const mac = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
  assert.equal(signature, `v1,${mac.update(`${id}.${at}.${post?.body}`).digest('base64')}`)
  assert.equal(id, 'audit_0_3')
})

test('what is not taken holds up what follows, is told of, and comes whole and in order when it is taken again', async () => {
  answer = 503
  refusing = true
  const write = async (events: number) => {
    const subject = { kind: 'cluster', id: 'c', name: 'c', tenantId: null } as const
    await ctx.db.transaction(async (tx) => {
      for (let n = 0; n < events; n++) {
        await record(tx, { actor: admin, now }, 'cluster.changed', { subject, changes: { n } })
      }
    })
    await linkEvents(ctx)
  }
  await write(450)
  const taken = posts.length
  for (const kind of ['webhook', 'syslog'] as const) {
    await forwardAudit(ctx, { kind })
    // Until it is time to try again nothing is sent.
    await forwardAudit(ctx, { kind })
  }
  assert.equal(posts.length, taken + 1)
  const { items } = await findForwards(ctx, admin)
  for (const { lagEvents, failures, next, target, retryAt } of items) {
    assert.deepEqual([lagEvents, failures, next], [450, 1, '3'])
    assert.match(target, /^(http|tls):\/\/127\.0\.0\.1:\d+$/)
    assert.ok(Date.parse(retryAt ?? '') > now.getTime())
  }
  assert.deepEqual(items.map(({ error }) => error)[1], 'It answered 503')
  await write(1)
  now = new Date(now.getTime() + 60_000)
  answer = 200
  refusing = false
  posts.splice(0)
  for (const kind of ['webhook', 'syslog'] as const) await forwardAudit(ctx, { kind })
  assert.deepEqual(indexes(posted()), upTo(454).slice(3))
  assert.deepEqual(
    posts.map(({ headers }) => headers['webhook-id']),
    ['audit_3_203', 'audit_203_403', 'audit_403_454'],
  )
  assert.deepEqual(indexes(syslogged()), upTo(454))
  for (const { lagEvents, lagSeconds, error, failures } of (await findForwards(ctx, admin)).items) {
    assert.deepEqual([lagEvents, lagSeconds, error, failures], [0, 0, null, 0])
  }
  await forwardsDue(ctx)
  const due = `select count(*)::int from graphile_worker.jobs where task_identifier = 'audit.forward'`
  // Those that were made due by the failures; nothing is left to tell.
  assert.deepEqual(await ctx.db.statement(due, []), [{ count: 2 }])
})

test('a server with another certificate, and an address that is not allowed, are told nothing', async () => {
  const other = processWith({ siem: { syslog: { url: siem.syslog.url } } })
  const inside = processWith({ siem, noticeRanges: [] })
  const plain = processWith({
    siem: { syslog: { url: siem.syslog.url.replace('tls:', 'tcp:') } },
    noticeRanges: [],
  })
  await changeTenant(ctx, admin, { name: 'shop', patch: { owner: 'z' } })
  await linkEvents(ctx)
  const before = received.length
  for (const [process, reason] of [
    [other, /CERT|SIGNED/],
    [inside, /not sent to/],
    [plain, /not sent to/],
  ] as const) {
    now = new Date(now.getTime() + 3_600_000)
    warnings.splice(0)
    await forwardAudit(process, { kind: 'syslog' })
    assert.match(JSON.stringify(warnings), reason)
  }
  assert.equal(received.length, before)
  assert.ok(!JSON.stringify(warnings).includes(secret))
})

test('structured data has no quotation mark, backslash or bracket as it stands (RFC 5424 6.3.3)', () => {
  const [event] = syslogged()
  assert.ok(event)
  const odd = { ...event, actor: { ...event.actor, name: 'a"b]c\\' } }
  assert.match(syslogMessage(odd, 'x').toString(), /actor="a\\"b\\]c\\\\"/)
  const refused = syslogMessage({ ...event, action: 'access.refused' }, '').toString()
  assert.match(refused, /^<108>1 \S+ - gatesmith - access\.refused /)
})

test('half of a setting is refused', () => {
  const environment = {
    DATABASE_URL: 'postgres://localhost/x',
    GATESMITH_SEALING_KEY: Buffer.alloc(32).toString('base64'),
  }
  const url = { GATESMITH_SIEM_WEBHOOK_URL: 'https://siem.test/in' }
  const set = { ...url, GATESMITH_SIEM_WEBHOOK_SECRET: secret }
  assert.deepEqual(readConfig({ ...environment, ...set }).siem?.webhook?.secret, secret)
  for (const wrong of [
    url,
    { GATESMITH_SIEM_WEBHOOK_SECRET: secret },
    { ...url, GATESMITH_SIEM_WEBHOOK_SECRET: 'whsec_short' },
    { GATESMITH_SIEM_SYSLOG_URL: 'https://siem.test:6514' },
    { GATESMITH_SIEM_SYSLOG_URL: 'tls://siem.test' },
  ]) {
    assert.throws(() => readConfig({ ...environment, ...wrong }), SettingError)
  }
})
