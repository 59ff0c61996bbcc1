import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi, tokenFor } from '../support/api.ts'

const { ctx, http, send } = await openTestApi()
await http
  .post('/v1/tenants')
  .send({ name: 'shop', domains: ['shop.test'] })
  .expect(201)
await http.post('/v1/tenants').send({ name: 'rival', domains: [] }).expect(201)

test('the audit trail is read page by page over REST, with the request that wrote each event', async () => {
  const change = await http
    .patch('/v1/tenants/shop')
    .send({ namespaces: ['web'] })
    .expect(200)
  const { body } = await http.get('/v1/audit-events?limit=1&subjectKind=tenant').expect(200)
  const [event] = body.items
  assert.equal(event.action, 'tenant.changed')
  assert.equal(event.requestId, change.headers['x-request-id'])
  assert.equal(event.tenant, 'shop')
  assert.deepEqual(event.changes.namespaces, ['web'])
  assert.match(event.seq, /^\d+$/)
  const next = await http.get(`/v1/audit-events?subjectKind=tenant&cursor=${body.nextCursor}`)
  assert.deepEqual(
    next.body.items.map(({ subject }: { subject: { name: string } }) => subject.name),
    ['rival', 'shop'],
  )
})

test('as NDJSON it comes whole, oldest first, one event to a line', async () => {
  const { text, headers } = await http
    .get('/v1/audit-events?subjectKind=tenant')
    .set('accept', 'application/x-ndjson')
    .buffer(true)
    .parse((response, done) => {
      response.setEncoding('utf8')
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => done(null, text))
    })
    .expect(200)
    .then(({ body, headers }) => ({ text: String(body), headers }))
  assert.match(headers['content-type'] ?? '', /^application\/x-ndjson/)
  assert.equal(text.at(-1), '\n')
  const events = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    events.map(({ action, subject }) => [action, subject.name]),
    [
      ['tenant.created', 'shop'],
      ['tenant.created', 'rival'],
      ['tenant.changed', 'shop'],
    ],
  )
  const { items } = (await http.get('/v1/audit-events?subjectKind=tenant').expect(200)).body
  assert.deepEqual(events.toReversed(), items)
})

test('a filter that cannot be is refused, an export by its problem and not half way', async () => {
  const rows = [
    ['/v1/audit-events?from=yesterday', 422, 'request-invalid'],
    ['/v1/audit-events?actor=a%00b', 422, 'request-invalid'],
    ['/v1/audit-events?who=me', 422, 'request-invalid'],
    ['/v1/audit-events?address=here', 422, 'request-invalid'],
    ['/v1/audit-events?cursor=x', 422, 'cursor-refused'],
    ['/v1/audit-events?tenant=nobody', 404, 'tenant-unknown'],
  ] as const
  for (const [url, status, type] of rows) {
    const { body } = await http.get(url).expect(status)
    assert.equal(body.type, `https://gatesmith.dev/problems/${type}`)
  }
  const lines = 'application/x-ndjson'
  const paged = await http.get('/v1/audit-events?limit=1').set('accept', lines).expect(422)
  assert.deepEqual(paged.body.violations[0].field, '/limit')
  const viewer = send(await tokenFor(ctx, 'shop', 'viewer'))
  const refused = await viewer.get('/v1/audit-events').set('accept', lines).expect(403)
  assert.match(refused.headers['content-type'] ?? '', /^application\/problem\+json/)
})

test('an auditor of a tenant reads that tenant’s events', async () => {
  const auditor = send(await tokenFor(ctx, 'shop', 'auditor'))
  const { items } = (await auditor.get('/v1/audit-events').expect(200)).body
  assert.ok(items.length > 0)
  assert.ok(items.every(({ tenant }: { tenant: string }) => tenant === 'shop'))
  await auditor.get('/v1/audit-events?tenant=rival').expect(404)
})
