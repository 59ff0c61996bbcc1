import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../../src/core/database/db.ts'
import { openTestApi } from '../support/api.ts'

const { ctx, http } = await openTestApi()
const url = '/v1/authorities'
const make = (name: string, more: object = {}) =>
  http
    .post(url)
    .send({ name, kind: 'root', subject: { commonName: name }, ...more })
    .expect(201)
const below = (parent: string) => ({ kind: 'intermediate', parent })
const order = (authority: string) =>
  http
    .post('/v1/tenants/shop/certificates')
    .send({ profile: 'client', dnsNames: ['a.test'], authority })

await make('first')
await http
  .post('/v1/tenants')
  .send({ name: 'shop', domains: ['a.test'] })
  .expect(201)

test('an authority is renamed and limited, and what is left out stays', async () => {
  await make('second', { displayName: 'The second', maxValidityDays: 90 })
  const named = await http.patch(`${url}/second`).send({ displayName: 'Zweite' }).expect(200)
  assert.equal(named.body.displayName, 'Zweite')
  assert.equal(named.body.maxValidityDays, 90)
  const limits = { displayName: null, maxValidityDays: 10, profiles: ['client'] }
  const limited = await http.patch(`${url}/second`).send(limits).expect(200)
  assert.equal(limited.body.displayName, 'second')
  assert.deepEqual((await http.get(`${url}/second`).expect(200)).body, limited.body)
  const { body } = await order('second').expect(201)
  assert.ok(Date.parse(body.notAfter) - Date.parse(body.notBefore) < 10 * 86_400_000)
  const wrong = await http.patch(`${url}/second`).send({ defaultValidityDays: 11 }).expect(422)
  assert.equal(wrong.body.violations[0].field, '/defaultValidityDays')
  assert.equal((await http.get(`${url}/second`)).body.defaultValidityDays, null)
  const events = await http.get('/v1/audit-events?action=authority.changed').expect(200)
  assert.equal(events.body.items.length, 2)
})

test('a retired authority signs nothing new, goes on signing lists, and may sign again', async () => {
  await make('old')
  const { body: leaf } = await order('old').expect(201)
  const retired = await http.patch(`${url}/old`).send({ retired: true }).expect(200)
  assert.ok(retired.body.retiredAt)
  const refused = await order('old').expect(422)
  assert.match(refused.body.detail, /retired/)
  const child = { name: 'child', ...below('old'), subject: { commonName: 'child' } }
  await http.post(url).send(child).expect(422)
  await http.post(`${url}/old/rotate`).send({}).expect(422)
  const path = `/v1/tenants/shop/certificates/${leaf.id}/revoke`
  await http.post(path).send({ reason: 'superseded' }).expect(200)
  await http.patch(`${url}/old`).send({ retired: false }).expect(200)
  await order('old').expect(201)
})

test('what is still needed is not removed, and the answer says by what', async () => {
  await make('parent')
  await make('needed', below('parent'))
  await http.patch('/v1/tenants/shop').send({ defaultAuthority: 'needed' }).expect(200)
  await order('needed').expect(201)
  const parent = await http.delete(`${url}/parent`).expect(409)
  assert.match(parent.body.detail, /the authority needed/)
  const needed = await http.delete(`${url}/needed`).expect(409)
  assert.match(needed.body.detail, /the certificate a\.test/)
  assert.match(needed.body.detail, /the tenant shop/)
  await http.patch('/v1/tenants/shop').send({ defaultAuthority: null }).expect(200)
})

test('one that never signed is gone as if it had never been', async () => {
  const { body } = await make('never')
  await http.delete(`${url}/never`).expect(204)
  await http.get(`${url}/never`).expect(404)
  await http.delete(`${url}/never`).expect(404)
  const keys = await ctx.db.read.authorityKey.count({ where: { issuers: { none: {} } } })
  assert.equal(keys, 0)
  await http.post(`${url}/import`).send({ name: 'never', certificate: body.pem }).expect(201)
})

test('one of which everything has ended loses its keys; its certificates still tell its name', async () => {
  await make('ended', below('first'))
  const { body: leaf } = await order('ended').expect(201)
  await http.delete(`${url}/ended`).expect(409)
  await ctx.db.read.$executeRaw(sql`
    update certificate set "notBefore" = "notBefore" - interval '300 days',
      "notAfter" = "notAfter" - interval '300 days' where "id" = ${leaf.id}::uuid`)
  await http.delete(`${url}/ended`).expect(204)
  await http.get(`${url}/ended`).expect(404)
  const list = await http.get(url).expect(200)
  assert.ok(!list.body.items.some((item: { name: string }) => item.name === 'ended'))
  for (const file of ['ca.crt', 'crl', 'ca.pem', 'chains.pem']) {
    await http.get(`/pki/ended/${file}`).expect(404)
  }
  const shown = await http.get(`/v1/tenants/shop/certificates/${leaf.id}`).expect(200)
  assert.equal(shown.body.authority, 'ended')
  const query = `{ certificate(tenant: "shop", id: "${leaf.id}") { id authority { name } } }`
  const { body } = await http.post('/graphql').send({ query }).expect(200)
  assert.deepEqual(body, { data: { certificate: { id: leaf.id, authority: null } } })
  const secrets = await ctx.db.read.authoritySecret.count({
    where: { key: { issuers: { some: { authority: { name: 'ended' } } } } },
  })
  assert.equal(secrets, 0)
  await order('ended').expect(404)
  await http.patch('/v1/tenants/shop').send({ defaultAuthority: 'ended' }).expect(404)
  const to = { service: 'web', namespace: 'test', port: 80 }
  const spec = { certificate: { authority: 'ended' }, routes: [{ to }], clusters: ['none'] }
  const refused = await http.put('/v1/tenants/shop/hosts/www.shop.test').send(spec).expect(422)
  const fields = refused.body.violations.map(({ field }: { field: string }) => field)
  assert.ok(fields.includes('/certificate/authority'), fields.join())
  await http.delete(`${url}/first`).expect(204)
})

test('an authority of one tenant is audited under that tenant', async () => {
  await make('own', { tenant: 'shop' })
  const events = await http.get('/v1/audit-events?tenant=shop&action=authority.created').expect(200)
  assert.deepEqual(
    events.body.items.map((event: { subject: { name: string } }) => event.subject.name),
    ['own'],
  )
})
