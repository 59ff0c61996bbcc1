import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'
import supertest from 'supertest'
import { buildServer } from '../../src/api/server.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import { publishList } from '../../src/authorities/crl/publish.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../src/certificates/revocation/revoke.ts'
import { openContext } from '../../src/core/context.ts'
import { presentPosition } from '../../src/events/find.ts'
import { putHost } from '../../src/hosts/put.ts'
import { post } from '../../src/notices/sending/post.ts'
import { sendNotice } from '../../src/notices/sending/send.ts'
import { sweepNotices } from '../../src/notices/sweep.ts'
import { day } from '../../src/shared/moment.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { tokenFor } from '../support/api.ts'
import { admin, openTestDatabase, testConfig } from '../support/context.ts'
import { openFarCluster } from '../support/far.ts'

type Post = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly url: string }

/** What was posted here, and what is answered. */
const posts: Post[] = []
let answer = 200
const server = createServer(async (request, response) => {
  posts.push({ headers: request.headers, body: await text(request), url: request.url ?? '' })
  response.writeHead(answer, { location: 'http://127.0.0.1:1/elsewhere' }).end('inside')
})
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
const port = ({ port }: AddressInfo) => port
const hook = `http://127.0.0.1:${port(server.address() as AddressInfo)}`

const mails: string[] = []
const mailServer = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  onData: async (stream, _session, done) => {
    mails.push(await text(stream))
    done()
  },
})
await new Promise<void>((done) => mailServer.listen(0, '127.0.0.1', done))
const mailPort = port(mailServer.server.address() as AddressInfo)

let now = new Date(Date.now() - 1000)
const config = {
  ...testConfig(await openTestDatabase()),
  noticeRanges: ['127.0.0.1'],
  smtp: { url: `smtp://127.0.0.1:${mailPort}`, from: 'gatesmith@example.com' },
}
const quiet = () => undefined
const log = { info: quiet, warn: quiet, error: console.error }
const ctx = openContext(config, log, { now: () => now })
const api = await buildServer(ctx)
await api.ready()
after(async () => {
  await api.close()
  await ctx.db.close()
  server.close()
  mailServer.close()
})

const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject, validityDays: 3650 })
for (const name of ['shop', 'rival']) {
  const own = { name, domains: [`${name}.test`], namespaces: ['test'], defaultAuthority: 'house' }
  await createTenant(ctx, admin, own)
}
const hand = async (tenant: string | null, role: 'admin' | 'viewer' | 'operator' = 'operator') => {
  const token = await tokenFor(ctx, tenant, role)
  return supertest.agent(api.server).set('authorization', `Bearer ${token}`)
}
const shop = await hand('shop')
const platform = await hand(null)
const own = '/v1/tenants/shop/notices'

const issue = (name: string, validityDays: number, autoRenew = false) =>
  issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: { profile: 'server', dnsNames: [`${name}.shop.test`], validityDays, autoRenew },
    idempotencyKey: undefined,
  })

/** Sends what is due, as the worker would, by two at once. */
async function sendAll(): Promise<void> {
  const due = await ctx.db.read.notice.findMany({ where: { status: 'pending' } })
  for (const { id, receiverId } of due) await sendNotice(ctx, { noticeId: id, receiverId })
}

/** Events are read when no older transaction is under way on the whole server: the tests beside this one have some. */
async function eventsReadable(): Promise<void> {
  const { _max } = await ctx.db.read.event.aggregate({ _max: { xid: true } })
  while ((await presentPosition(ctx)).xid <= (_max.xid ?? 0n)) await delay(10)
}

async function sweep(): Promise<void> {
  await eventsReadable()
  await Promise.all([sweepNotices(ctx), sweepNotices(ctx)])
}

function later(milliseconds: number): void {
  now = new Date(now.getTime() + milliseconds)
}

const typesOf = (some: readonly Post[]) => some.map(({ body }) => JSON.parse(body).type)
const subjects = (some: readonly Post[]) =>
  some.map(({ body }) => JSON.parse(body).data.subject.name)

const { body: made } = await shop
  .put(`${own}/ops`)
  .send({ kind: 'webhook', url: `${hook}/in?token=x` })
await platform
  .put('/v1/notices/all')
  .send({ kind: 'slack', url: `${hook}/slack` })
  .expect(201)
await sweep()

test('a receiver is told once of each threshold that an end crosses, and of the nearest after an outage', async () => {
  await issue('alone', 40)
  await issue('renewed', 40, true)
  await sweep()
  assert.equal(await ctx.db.read.notice.count(), 0)
  later(11 * day)
  await sweep()
  await sweep()
  await sendAll()
  const hooked = posts.filter(({ url }) => url.startsWith('/in'))
  assert.deepEqual(subjects(hooked), ['alone.shop.test'])
  assert.equal(JSON.parse(hooked[0]?.body ?? '').data.days, 30)
  assert.deepEqual(posts.map(({ url }) => url).toSorted(), ['/in?token=x', '/slack'])
  const slack = posts.find(({ url }) => url === '/slack')
  assert.match(
    JSON.parse(slack?.body ?? '').text,
    /alone\.shop\.test ends in 29 days.*\ntenant: shop/,
  )

  // Away while it crosses 14 and 7, and one that was renewed begins to fail.
  posts.length = 0
  await ctx.db.statement(
    `update certificate set "renewFailures" = 1, "renewError" = 'refused' where "autoRenew"`,
    [],
  )
  later(23 * day)
  await sweep()
  await sendAll()
  const told = posts.filter(({ url }) => url.startsWith('/in')).map(({ body }) => JSON.parse(body))
  assert.deepEqual(told.map(({ type, data }) => [type, data.subject.name, data.days]).toSorted(), [
    ['certificate.expiring', 'alone.shop.test', 7],
    ['certificate.expiring', 'renewed.shop.test', 7],
    ['certificate.renewal-failed', 'renewed.shop.test', undefined],
  ])
})

test('a receiver that was changed meanwhile is not overwritten', async () => {
  const url = `${own}/ops`
  const { headers } = await shop.get(url).expect(200)
  assert.ok(headers.etag)
  const put = (condition: string, tag: string) =>
    shop
      .put(url)
      .set(condition, tag)
      .send({ kind: 'webhook', url: `${hook}/in` })
  await shop.get(url).set('if-none-match', headers.etag).expect(304)
  const first = await put('if-match', headers.etag).expect(200)
  const { body } = await put('if-match', headers.etag).expect(412)
  assert.match(body.type, /precondition-failed$/)
  await put('if-none-match', '*').expect(412)
  assert.ok(first.headers.etag)
  await put('if-match', first.headers.etag).expect(200)
})

test('a webhook is signed by Standard Webhooks, also by the secret before for a day', async () => {
  assert.match(made.secret, /^whsec_/)
  const again = await shop
    .put(`${own}/ops`)
    .send({ kind: 'webhook', url: `${hook}/in` })
    .expect(200)
  assert.equal(again.body.secret, undefined)
  // A retry whose first answer was lost gets the same secret.
  const rotate = () => shop.post(`${own}/ops/rotate`).set('idempotency-key', 'turn').expect(200)
  const { body: rotated } = await rotate()
  assert.deepEqual((await rotate()).body, rotated)
  posts.length = 0
  const tried = await shop.post(`${own}/ops/test`).expect(200)
  assert.deepEqual([tried.body.answer, tried.body.error], [200, null])
  later(2 * day)
  await shop.post(`${own}/ops/test`).expect(200)
  const [both, one] = posts
  assert.ok(both && one)
  assert.deepEqual(both.headers['webhook-signature']?.toString().split(' '), [
    signed(both, rotated.secret),
    signed(both, made.secret),
  ])
  assert.equal(one.headers['webhook-signature'], signed(one, rotated.secret))
  const stored = await ctx.db.statement('select * from receiver', [])
  assert.doesNotMatch(JSON.stringify(stored), /whsec|token/)
  assert.doesNotMatch((await shop.get(own)).text, /whsec|token/)
})

function signed({ headers, body }: Post, secret: string): string {
  const key = Buffer.from(secret.slice(6), 'base64')
  const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  return `v1,${createHmac('sha256', key).update(content).digest('base64')}`
}

test('what is not taken is sent again under the same id, given up in the end, and replayed', async () => {
  posts.length = 0
  answer = 302
  const { id } = await issue('gone', 90)
  await revokeCertificate(ctx, admin, { tenant: 'shop', id, reason: 'superseded' })
  await sweep()
  for (let i = 0; i < 12; i++) {
    await sendAll()
    await sendAll()
    later(7 * 3_600_000)
  }
  const hooked = posts.filter(({ url }) => url.startsWith('/in'))
  assert.deepEqual(new Set(typesOf(hooked)), new Set(['certificate.revoked']))
  assert.equal(hooked.length, 10)
  assert.equal(new Set(hooked.map(({ headers }) => headers['webhook-id'])).size, 1)
  assert.ok(posts.every(({ url }) => url !== '/elsewhere'))
  const dead = await shop.get(`${own}/ops/attempts?status=dead`).expect(200)
  assert.equal(dead.body.items.length, 1)
  assert.deepEqual(dead.body.items[0].attempts.at(-1).answer, 302)
  assert.doesNotMatch(dead.text, /inside/)
  answer = 204
  await shop.post(`${own}/ops/attempts/${dead.body.items[0].id}/replay`).expect(202)
  await sendAll()
  const sent = await shop.get(`${own}/ops/attempts?limit=1`).expect(200)
  assert.deepEqual(
    [sent.body.items[0].id, sent.body.items[0].status],
    [dead.body.items[0].id, 'sent'],
  )
  assert.equal(posts.at(-1)?.headers['webhook-id'], hooked[0]?.headers['webhook-id'])
})

test('PagerDuty and mail are sent in their own words', async () => {
  posts.length = 0
  const routingKey = 'R'.repeat(32)
  await shop
    .put(`${own}/pager`)
    .send({ kind: 'pagerduty', url: `${hook}/pd`, routingKey })
    .expect(201)
  await shop
    .put(`${own}/mail`)
    .send({ kind: 'email', to: ['ops@shop.test'] })
    .expect(201)
  assert.equal((await shop.post(`${own}/pager/test`)).body.error, null)
  assert.equal((await shop.post(`${own}/mail/test`)).body.error, null)
  const event = JSON.parse(posts[0]?.body ?? '')
  assert.deepEqual(
    [event.routing_key, event.event_action, event.payload.severity],
    [routingKey, 'trigger', 'info'],
  )
  assert.match(mails[0] ?? '', /To: ops@shop\.test/)
  assert.match(mails[0] ?? '', /This is a test/)
})

test('nothing is posted to this machine or a private network, however it is written', async () => {
  const closed = { ...ctx.config, noticeRanges: [] }
  const message = { headers: {}, body: '{}' }
  const urls = [
    hook,
    hook.replace('http:', 'https:'),
    'https://localhost/',
    'https://127.1/',
    'https://2130706433/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://10.0.0.1/',
    'https://169.254.169.254/latest/meta-data',
    'https://[fd00:ec2::254]/',
    'https://0.0.0.0/',
  ]
  posts.length = 0
  for (const url of urls) {
    const { answer: none, error } = await post(closed, url, message)
    assert.equal(none, null)
    assert.match(error ?? '', /is not sent to/, url)
  }
  assert.equal(posts.length, 0)
})

test('a calendar has an entry for each end, and takes a key as a password there alone', async () => {
  await issue('dated', 20)
  const token = await tokenFor(ctx, 'shop', 'viewer')
  const url = '/v1/tenants/shop/calendar.ics'
  const asked = () => supertest(api.server).get(url).auth('calendar', token)
  const { text: first, headers } = await asked().expect(200)
  assert.match(headers['content-type'] ?? '', /^text\/calendar/)
  assert.match(first, /^BEGIN:VCALENDAR\r\nVERSION:2\.0\r\n/)
  const unfolded = first.replaceAll('\r\n ', '')
  const entry = unfolded.split('BEGIN:VEVENT').find((one) => one.includes('dated.shop.test'))
  assert.match(entry ?? '', /SUMMARY:dated\.shop\.test ends and is not renewed\r\n/)
  assert.match(entry ?? '', /UID:[0-9a-f-]{36}@gatesmith\r\n/)
  assert.ok(first.split('\r\n').every((line) => Buffer.byteLength(line) <= 75))
  assert.equal((await asked()).text, first)
  const { headers: refused } = await supertest(api.server).get(url).expect(401)
  assert.match(refused['www-authenticate'] ?? '', /^Basic realm=/)
  await supertest(api.server).get(own).auth('calendar', token).expect(401)
  await supertest(api.server).get(url).auth('calendar', `${token}x`).expect(401)
  await (await hand('rival')).get(url).expect(404)
})

test('an authority and a list that are about to end, and a delivery that fails, are told of once each', async () => {
  await platform
    .put('/v1/notices/watch')
    .send({ kind: 'webhook', url: `${hook}/watch` })
    .expect(201)
  const brief = { name: 'brief', kind: 'root', subject, validityDays: 32 } as const
  await createAuthority(ctx, admin, brief)
  const { keyId } = await ctx.db.read.issuer.findFirstOrThrow({
    where: { authority: { name: 'brief' } },
  })
  await publishList(ctx, { keyId, shard: 0 })
  await openFarCluster(ctx)
  const to = { service: 'web', namespace: 'test', port: 80 }
  const spec = { routes: [{ to }], clusters: ['far'] }
  await putHost(ctx, admin, { tenant: 'shop', name: 'www.shop.test', spec })
  posts.length = 0
  const told = () =>
    posts
      // Of what happened before it was there, by the clock of the database, /watch is not told.
      .filter(({ url }) => url.startsWith('/watch') || url.startsWith('/in'))
      .map(({ body }) => JSON.parse(body))
      .filter(({ data }) => ['brief', 'www.shop.test'].includes(data.subject.name))
      .map(({ type, data }) => [type, data.days ?? data.shard ?? data.cluster])
      .toSorted()
  const untilTold = async (count: number) => {
    while (told().length < count) {
      await sweep()
      await sendAll()
    }
  }
  await sweep()
  later(3 * day)
  await ctx.db.statement(`update placement set "status" = 'Failed', "message" = 'it is away'`, [])
  await untilTold(2)
  const soon = [
    ['authority.expiring', 30],
    ['delivery.failed', 'far'],
  ]
  assert.deepEqual(told(), soon)
  const shops = posts.filter(({ url }) => url.startsWith('/in'))
  const mine = shops.filter(({ body }) => !body.includes('"certificate.expiring"'))
  assert.deepEqual(typesOf(mine), ['delivery.failed'], 'a tenant hears of its own alone')
  assert.match(JSON.parse(mine[0]?.body ?? '').data.summary, /Failed on far: it is away/)
  // Lists are for a week, and were published every day until now.
  later(2.5 * day)
  const lists = await ctx.db.read.revocationList.count({ where: { keyId } })
  await untilTold(2 + lists)
  await sweep()
  await sendAll()
  const ends = told().filter(([type]) => type === 'list.expiring')
  assert.ok(lists > 0)
  assert.deepEqual([told().length, ends.length], [2 + lists, lists])
  // One that is published anew is about to end no more.
  await publishList(ctx, { keyId, shard: 0 })
  posts.length = 0
  await sweep()
  await sendAll()
  assert.deepEqual(told(), [])
})

test('who may not is refused, and another tenant’s receivers are not there', async () => {
  const rival = await hand('rival')
  await rival.get(`${own}/ops`).expect(404)
  await rival.post(`${own}/ops/test`).expect(404)
  await rival.get('/v1/notices').expect(403)
  const viewer = await hand('shop', 'viewer')
  await viewer.get(`${own}/ops`).expect(200)
  await viewer.put(`${own}/ops`).send({ kind: 'webhook', url: hook }).expect(403)
  await viewer.post(`${own}/ops/test`).expect(403)
  const rows = [
    [{ kind: 'webhook' }, '/url'],
    [{ kind: 'email', to: ['a@b.test'], url: hook }, '/url'],
    [{ kind: 'slack', url: 'https://user:word@host.test/' }, '/url'],
    [{ kind: 'webhook', url: 'ftp://host.test/' }, '/url'],
    [{ kind: 'webhook', url: 'https://10.0.0.1/' }, '/url'],
    [{ kind: 'slack', url: 'https://0x7f000002/' }, '/url'],
    [{ kind: 'email', to: ['a@b.test\r\nBcc: c@d.test'] }, '/to/0'],
  ] as const
  for (const [body, field] of rows) {
    const refused = await shop.put(`${own}/bad`).send(body).expect(422)
    assert.equal(refused.body.violations[0].field, field)
  }
  await shop.delete(`${own}/ops`).expect(204)
  await shop.get(`${own}/ops`).expect(404)
})
