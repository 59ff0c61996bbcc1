import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawSql } from '../../src/core/database/db.ts'
import { openTestApi } from '../support/api.ts'

const { ctx, http, api } = await openTestApi()

const subject = { commonName: 'house' }
await http.post('/v1/authorities').send({ name: 'house', kind: 'root', subject }).expect(201)
await http
  .post('/v1/tenants')
  .send({ name: 'shop', domains: ['fair.test'] })
  .expect(201)
await http.patch('/v1/tenants/shop').send({ defaultAuthority: 'house' }).expect(200)

/** Every row of every table, but for when keys were used. */
async function stored(): Promise<Readonly<Record<string, string>>> {
  const tables = await ctx.db.read.$queryRaw<readonly { name: string }[]>(
    rawSql(`
    select table_schema || '.' || quote_ident(table_name) as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema in ('public', 'graphile_worker')`),
  )
  const all: Record<string, string> = {}
  for (const { name } of tables) {
    const [row] = await ctx.db.read.$queryRaw<readonly { rows: string }[]>(
      rawSql(`
      select coalesce(string_agg(row, ' ' order by row), '') as rows
      from (select (to_jsonb(t) - 'lastUsedAt' - 'lastUsedFrom')::text as row from ${name} t) as t`),
    )
    all[name] = row?.rows ?? ''
  }
  return all
}

test('every write of the contract can be rehearsed', () => {
  const writes = Object.entries(api.swagger().paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item ?? {})
      .filter(([method]) => ['post', 'put', 'patch', 'delete'].includes(method))
      .map(([method, operation]) => ({ operation, name: `${method} ${path}` })),
  )
  const without = writes
    .filter(({ operation }) => !JSON.stringify(operation).includes('"dryRun"'))
    .map(({ name }) => name)
  // They look, and write nothing that anybody asked for; a test notice is sent or it is none.
  assert.deepEqual(without.sort(), [
    'post /graphql',
    'post /pki/{authority}/ocsp',
    'post /v1/clusters/{cluster}/check',
    'post /v1/notices/{notice}/test',
    'post /v1/tenants/{tenant}/hosts/{host}/plan',
    'post /v1/tenants/{tenant}/hosts/{host}/probe',
    'post /v1/tenants/{tenant}/notices/{notice}/test',
  ])
})

test('what is made, revoked or rotated can be rehearsed: the same answer and refusals, and not a row is changed', async () => {
  const certificates = '/v1/tenants/shop/certificates'
  const asked = { profile: 'server', dnsNames: ['www.fair.test'] }
  const { id } = (await http.post(certificates).send(asked).expect(201)).body
  const key = (await http.post('/v1/api-keys').send({ name: 'k', role: 'viewer' })).body
  const acme = (await http.post('/v1/tenants/shop/acme-keys').send({ name: 'kept' })).body
  const webhook = { kind: 'webhook', url: 'https://hooks.fair.test/' }
  await http.put('/v1/notices/ops').send(webhook).expect(201)
  const sub = { name: 'sub', kind: 'intermediate', parent: 'house', subject: { commonName: 'sub' } }
  const other = { name: 'other', kind: 'root', subject: { commonName: 'other' } }
  await http.post('/v1/authorities').send(other).expect(201)
  const user = { name: 'u', user: { token: 'a-token' } }
  const kubeconfig = JSON.stringify({
    'current-context': 'k',
    contexts: [{ name: 'k', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [user],
  })
  const cluster = { name: 'c', kubeconfig, ingress: { address: '127.0.0.1:1' } }
  const rows = [
    ['post', certificates, asked, 201],
    ['post', certificates, { ...asked, dnsNames: ['www.other.test'] }, 422],
    ['post', `${certificates}:batch`, { items: [asked, { ...asked, dnsNames: ['a.b'] }] }, 200],
    ['post', `${certificates}/${id}/renew`, {}, 201],
    ['post', `${certificates}/${id}/revoke`, { reason: 'keyCompromise' }, 200],
    ['post', '/v1/authorities', sub, 201],
    ['post', '/v1/authorities', { ...sub, name: 'house' }, 409],
    ['post', '/v1/authorities/house/rotate', {}, 202],
    ['post', '/v1/authorities/house/cross-sign', { by: 'other' }, 201],
    ['delete', '/v1/authorities/other', undefined, 204],
    ['post', '/v1/tenants', { name: 'new', domains: ['new.test'] }, 201],
    ['post', '/v1/tenants', { name: 'shop', domains: [] }, 409],
    ['post', '/v1/clusters', cluster, 201],
    ['post', '/v1/api-keys', { name: 'l', role: 'viewer' }, 201],
    ['post', '/v1/api-keys', { name: 'k', role: 'viewer' }, 422],
    ['post', `/v1/api-keys/${key.id}/rotate`, {}, 200],
    ['delete', `/v1/api-keys/${key.id}`, undefined, 204],
    ['post', '/v1/tenants/shop/acme-keys', { name: 'acme' }, 201],
    ['delete', `/v1/tenants/shop/acme-keys/${acme.id}`, undefined, 204],
    ['put', '/v1/notices/new', webhook, 201],
    ['post', '/v1/notices/ops/rotate', undefined, 200],
    ['delete', '/v1/notices/ops', undefined, 204],
    ['post', '/v1/replacements', { reason: 'drill', where: { tenant: 'shop' } }, 202],
    ['post', '/v1/blocked-keys', { spkiSha256: 'ab'.repeat(32), reason: 'drill' }, 201],
  ] as const
  const before = await stored()
  for (const [method, path, body, status] of rows) {
    const request = http[method](`${path}?dryRun=true`).set('idempotency-key', 'the-same')
    const answer = await (body === undefined ? request : request.send(body))
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`)
    assert.equal(answer.headers.location, undefined)
    assert.deepEqual(await stored(), before, `${method} ${path}`)
    if (path === certificates && status === 201) {
      // No key of an authority was used.
      assert.deepEqual([answer.body.status, answer.body.pem], ['signing', null])
    }
    if (path.endsWith(':batch')) {
      const kinds = answer.body.items.map((item: object) => Object.keys(item)[0])
      assert.deepEqual(kinds, ['certificate', 'problem'])
    }
  }
  // The same key afterwards: nothing was kept of the rehearsals.
  await http.post(certificates).set('idempotency-key', 'the-same').send(asked).expect(201)
})

test('what is made is where its Location says, and making it takes an Idempotency-Key', () => {
  const paths = api.swagger().paths ?? {}
  type Operation = { responses?: Record<string, { headers?: object }>; parameters?: object[] }
  const made = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries((item ?? {}) as Record<string, Operation>).flatMap(([method, one]) => {
      const answers = Object.keys(one.responses ?? {})
      const makes = method === 'post' && (answers.includes('201') || answers.includes('202'))
      return makes || answers.includes('201') ? [{ path, method, one }] : []
    }),
  )
  assert.ok(made.length > 15)
  const has = (one: object, text: string) => JSON.stringify(one).includes(text)
  // A cluster that is synced, or a notice sent, twice is as if it were once.
  const repeatable = /\/(sync|replay)$/
  assert.deepEqual(
    made
      .filter(({ method, one }) => method === 'post' && !has(one, 'IdempotencyKey'))
      .map(({ path }) => path)
      .filter((path) => !repeatable.test(path)),
    [],
  )
  const placed = made.filter(({ one }) => has(one.responses?.['201'] ?? {}, 'Location'))
  const nowhere = placed.filter(({ path, method }) => {
    if (method === 'put') return !('get' in (paths[path] ?? {}))
    const list = path.replace(/\/import$|\/\{\w+\}\/renew$|:\w+$/, '')
    const one = Object.keys(paths).find(
      (each) => each.startsWith(`${list}/{`) && /^[^/]+$/.test(each.slice(list.length + 1)),
    )
    return one === undefined || !('get' in (paths[one] ?? {}))
  })
  assert.deepEqual(
    nowhere.map(({ path }) => path),
    [],
  )
})
