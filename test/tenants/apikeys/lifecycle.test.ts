import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeAdminKey } from '../../../src/main/adminkey.ts'
import { forgetOldAnswers } from '../../../src/tenants/apikeys/answers.ts'
import { openTestApi } from '../../support/api.ts'

const { ctx, http, send } = await openTestApi()
const keys = '/v1/api-keys'
type Key = { readonly id: string; readonly name: string; readonly role: string }

async function admins(): Promise<Key[]> {
  const { body } = await http.get(keys).expect(200)
  return body.items.filter(({ role }: Key) => role === 'admin')
}

test('the last key of a platform admin is kept, also when two revoke each other at once', async () => {
  const [own] = await admins()
  const refused = await http.delete(`${keys}/${own?.id}`).expect(409)
  assert.match(refused.body.type, /api-key-needed$/)
  const soon = new Date(Date.now() + 3_600_000).toISOString()
  const other = await http
    .post(keys)
    .send({ name: 'other', role: 'admin', expiresAt: soon })
    .expect(201)
  const second = send(other.body.token)
  const answers = await Promise.all([
    http.delete(`${keys}/${other.body.id}`),
    second.delete(`${keys}/${own?.id}`),
  ])
  const left = answers[0].status === 204 ? http : second
  const { body } = await left.get(keys).expect(200)
  assert.equal(body.items.filter(({ role }: Key) => role === 'admin').length, 1)
})

test('from the machine itself the last one is replaced', async () => {
  const [own] = await ctx.db.read.apiKey.findMany({ where: { revokedAt: null, role: 'admin' } })
  assert.ok(own)
  const token = await makeAdminKey(ctx, own.name)
  await send(token).get(keys).expect(200)
})

test('with a key goes every answer that shows it, and every answer that it was given', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const made = await root
    .post(keys)
    .set('idempotency-key', 'make-1')
    .send({ name: 'shown', role: 'admin' })
    .expect(201)
  const own = send(made.body.token)
  await own
    .post('/v1/tenants')
    .set('idempotency-key', 'make-2')
    .send({ name: 'shop', domains: [] })
    .expect(201)
  assert.equal(await ctx.db.read.idempotencyKey.count(), 2)
  await root.delete(`${keys}/${made.body.id}`).expect(204)
  assert.equal(await ctx.db.read.idempotencyKey.count(), 0)
})

test('with a tenant go the answers that show its keys', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  await root
    .post('/v1/tenants/shop/api-keys')
    .set('idempotency-key', 'make-3')
    .send({ name: 'theirs', role: 'viewer' })
    .expect(201)
  await root.delete('/v1/tenants/shop').expect(204)
  assert.equal(await ctx.db.read.idempotencyKey.count(), 0)
})

test('answers are forgotten after a day', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const ask = (name: string) =>
    root.post(keys).set('idempotency-key', name).send({ name, role: 'viewer' }).expect(201)
  await ask('yesterday')
  await ctx.db.read.idempotencyKey.updateMany({
    data: { createdAt: new Date(Date.now() - 86_400_001) },
  })
  await ask('today')
  assert.equal(await forgetOldAnswers(ctx), 1)
  assert.equal((await ctx.db.read.idempotencyKey.findFirstOrThrow()).key, 'today')
})
