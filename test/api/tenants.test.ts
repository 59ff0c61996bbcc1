import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi, tokenFor } from '../support/api.ts'

const { ctx, http, send } = await openTestApi()

test('a tenant is created, read, listed, changed and removed over REST', async () => {
  const asked = { name: 'example', displayName: 'Example Inc.', domains: ['example.com'] }
  const made = await http.post('/v1/tenants').send(asked).expect(201)
  assert.equal(made.body.name, 'example')
  assert.deepEqual((await http.get('/v1/tenants/example').expect(200)).body, made.body)
  assert.equal((await http.get('/v1/tenants?limit=1').expect(200)).body.items.length, 1)
  const patch = { namespaces: ['test'] }
  const changed = await http.patch('/v1/tenants/example').send(patch).expect(200)
  assert.deepEqual(changed.body.namespaces, ['test'])
  await http.delete('/v1/tenants/example').expect(204)
  const gone = await http.get('/v1/tenants/example').expect(404)
  assert.match(gone.headers['content-type'] ?? '', /^application\/problem\+json/)
  assert.equal(gone.body.type, 'https://gatesmith.dev/problems/tenant-unknown')
  assert.equal(gone.body.instance, `urn:uuid:${gone.headers['x-request-id']}`)
})

test('every broken rule of a body is answered at once, a misspelt field among them', async () => {
  const asked = { name: 'Not A Name', domain: ['example.com'], policy: { maxValidityDays: 0 } }
  const { body } = await http.post('/v1/tenants').send(asked).expect(422)
  const fields = body.violations.map(({ field }: { field: string }) => field).sort()
  assert.deepEqual(fields, ['/domain', '/domains', '/name', '/policy/maxValidityDays'])
})

test('numbers and booleans in a body are not made of text', async () => {
  const asked = { name: 'typed', domains: [], policy: { maxValidityDays: '30' } }
  await http.post('/v1/tenants').send(asked).expect(422)
})

test('what is not JSON, not at a URL, or not allowed there, says so', async () => {
  const rows = [
    [http.post('/v1/tenants').type('json').send('{'), 400, 'request-malformed'],
    [http.post('/v1/tenants').type('text/plain').send('x'), 415, 'media-type-unsupported'],
    [http.get('/v1/nothing'), 404, 'route-unknown'],
    [http.get('/nothing'), 404, 'route-unknown'],
    [send(null).get('/v1/tenants'), 401, 'credentials-missing'],
    [send('gsm_wrong').get('/v1/tenants'), 401, 'credentials-refused'],
    [http.get('/v1/tenants?limit=0'), 422, 'request-invalid'],
    [http.get('/v1/tenants?limt=1'), 422, 'request-invalid'],
    [http.get('/v1/tenants?cursor=x'), 422, 'cursor-refused'],
  ] as const
  for (const [request, status, type] of rows) {
    const { body } = await request.expect(status)
    assert.equal(body.type, `https://gatesmith.dev/problems/${type}`)
  }
  const big = { name: 'big', domains: [], displayName: 'x'.repeat(600_000) }
  const { body } = await http.post('/v1/tenants').send(big).expect(413)
  assert.equal(body.type, 'https://gatesmith.dev/problems/request-too-large')
})

test('an Idempotency-Key makes a creation happen once and gives the same answer again', async () => {
  const asked = { name: 'ci', role: 'viewer' }
  const post = (body: object) => http.post('/v1/api-keys').set('idempotency-key', 'once').send(body)
  const first = await post(asked).expect(201)
  const again = await post(asked).expect(201)
  assert.deepEqual(again.body, first.body)
  assert.equal(again.headers.location, `/v1/api-keys/${first.body.id}`)
  assert.equal(first.headers.location, again.headers.location)
  const other = await post({ ...asked, role: 'admin' }).expect(422)
  assert.equal(other.body.type, 'https://gatesmith.dev/problems/idempotency-mismatch')
  const rows = await ctx.db.read.idempotencyKey.findMany()
  assert.ok(rows.every(({ sealed }) => !Buffer.from(sealed).includes(first.body.token)))
})

test('each role may do its part and no more', async () => {
  await http
    .post('/v1/tenants')
    .send({ name: 'roles', domains: ['roles.test'] })
    .expect(201)
  const can = async (role: 'admin' | 'operator' | 'viewer' | 'auditor', tenant: string | null) => {
    const hand = send(await tokenFor(ctx, tenant, role))
    return [
      (await hand.get('/v1/tenants/roles')).status,
      (await hand.patch('/v1/tenants/roles').send({ displayName: role })).status,
      (await hand.post('/v1/tenants/roles/api-keys').send({ name: `by-${role}-${tenant}`, role }))
        .status,
      (await hand.get('/v1/api-keys')).status,
    ]
  }
  assert.deepEqual(await can('admin', null), [200, 200, 201, 200])
  assert.deepEqual(await can('admin', 'roles'), [200, 403, 201, 403])
  assert.deepEqual(await can('operator', 'roles'), [200, 403, 403, 403])
  assert.deepEqual(await can('viewer', null), [200, 403, 403, 403])
  assert.deepEqual(await can('auditor', 'roles'), [200, 403, 403, 403])
})

test('lists have one way to be sorted, counted, narrowed and cut down to some members', async () => {
  for (const name of ['list-a', 'list-b', 'list-c']) {
    const labels = { list: name.slice(-1) }
    await http.post('/v1/tenants').send({ name, domains: [], labels }).expect(201)
  }
  const ask = async (query: string) => (await http.get(`/v1/tenants?${query}`).expect(200)).body
  const sparse = await ask('label=list&sort=-name&count=true&limit=2&fields=name,labels')
  assert.deepEqual(sparse.items, [
    { name: 'list-c', labels: { list: 'c' } },
    { name: 'list-b', labels: { list: 'b' } },
  ])
  assert.deepEqual(sparse.total, { value: 3, exact: true })
  const rest = await ask(`label=list&sort=-name&cursor=${sparse.nextCursor}&fields=name`)
  assert.deepEqual([rest.items, rest.nextCursor], [[{ name: 'list-a' }], null])
  const refused: readonly (readonly [string, number, string])[] = [
    [`/v1/tenants?sort=name&cursor=${sparse.nextCursor}`, 422, 'cursor-refused'],
    ['/v1/tenants?fields=name,secret', 422, 'request-invalid'],
    ['/v1/tenants?fields=__proto__', 422, 'request-invalid'],
    ['/v1/tenants?sort=id', 422, 'request-invalid'],
    ['/v1/tenants?colour=red', 422, 'request-invalid'],
    ['/v1/tenants?label=a&label=b', 422, 'request-invalid'],
    ['/v1/clusters?status=Fine', 422, 'request-invalid'],
    ['/v1/audit-events?fields=nothing', 422, 'request-invalid'],
  ]
  for (const [url, status, type] of refused) {
    const { body } = await http.get(url).expect(status)
    assert.equal(body.type, `https://gatesmith.dev/problems/${type}`, url)
  }
  const lists = ['hosts', 'clusters', 'authorities', 'api-keys', 'blocked-keys', 'certificates']
  for (const list of [
    ...lists,
    'audit-events',
    'tenants/list-a/hosts',
    'tenants/list-a/deliveries',
  ]) {
    const { body } = await http.get(`/v1/${list}?count=true&limit=1`).expect(200)
    assert.equal(body.total.exact, true, list)
  }
  const key = await tokenFor(ctx, 'list-a')
  await send(key).get('/v1/hosts').expect(403)
})
