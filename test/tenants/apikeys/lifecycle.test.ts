import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeAdminKey } from '../../../src/main/adminkey.ts'
import { forgetOldAnswers } from '../../../src/tenants/apikeys/answers.ts'
import { createApiKey } from '../../../src/tenants/apikeys/lifecycle.ts'
import { rotateApiKey } from '../../../src/tenants/apikeys/rotate.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'

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

/** What is written after the answer is there soon: this waits until `look` finds it. */
async function eventually<T>(look: () => Promise<T | null | undefined>): Promise<T> {
  for (;;) {
    const found = await look()
    if (found != null) return found
    await new Promise(setImmediate)
  }
}

test('a key tells how its token begins, who made it, and when and from where it was last used', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const { body } = await root.post(keys).send({ name: 'seen', role: 'viewer' }).expect(201)
  const { token, ...made } = body
  assert.match(token, /^gsm_[\w-]{43}[0-9A-Za-z]{6}$/)
  assert.equal(made.prefix, token.slice(0, 12))
  assert.equal(made.createdBy, 'root')
  assert.equal(made.lastUsedAt, null)
  const read = () => ctx.db.read.apiKey.findUniqueOrThrow({ where: { id: made.id } })
  for (let times = 0; times < 3; times++) await send(token).get('/v1/whoami').expect(200)
  const first = await eventually(async () => ((await read()).lastUsedAt ? read() : null))
  assert.match(first.lastUsedFrom ?? '', /127\.0\.0\.1$/)
  await send(token).get('/v1/whoami').expect(200)
  assert.deepEqual((await read()).lastUsedAt, first.lastUsedAt)
  const listed = (await root.get(`${keys}?name=seen`).expect(200)).body.items[0]
  assert.equal(listed.lastUsedAt, first.lastUsedAt?.toISOString())
  assert.equal(listed.token, undefined)
})

test('a rotated key has a new token, and the one before until its time is over', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const { body: made } = await root.post(keys).send({ name: 'turned', role: 'viewer' }).expect(201)
  const url = `${keys}/${made.id}/rotate`
  const { body: second } = await root.post(url).send({ overlapSeconds: 3600 }).expect(200)
  assert.equal(second.id, made.id)
  const whoami = async (token: string) => (await send(token).get('/v1/whoami')).body
  assert.equal((await whoami(made.token)).expiresAt, second.formerUntil)
  assert.equal((await whoami(second.token)).expiresAt, null)
  const past = new Date(Date.now() - 1000)
  await ctx.db.read.apiKey.update({ where: { id: made.id }, data: { formerUntil: past } })
  await send(made.token).get('/v1/whoami').expect(401)
  // The second is good until its turn; with no overlap it ends at once.
  const { body: third } = await root.post(url).send({ overlapSeconds: 0 }).expect(200)
  await send(second.token).get('/v1/whoami').expect(401)
  await send(third.token).get('/v1/whoami').expect(200)
  await root.delete(`${keys}/${made.id}`).expect(204)
  await send(third.token).get('/v1/whoami').expect(401)
  await root.post(url).send({}).expect(404)
})

test('a rotation forgets the answers that show the token before, and no retry of it rotates again', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const make = () =>
    root.post(keys).set('idempotency-key', 'shown').send({ name: 'retried', role: 'admin' })
  const { body: made } = await make().expect(201)
  assert.equal((await make().expect(201)).body.token, made.token)
  const rotate = (key: string) =>
    send(made.token).post(`${keys}/${made.id}/rotate`).set('idempotency-key', key).send({})
  const { body: second } = await rotate('turn').expect(200)
  // What it asked for itself is its own to be told again, though it is about itself.
  assert.equal((await rotate('turn').expect(200)).body.token, second.token)
  const again = await make().expect(422)
  assert.doesNotMatch(again.text, /gsm_/)
  await root.post(`${keys}/${made.id}/rotate`).send({}).expect(200)
  const shown = await ctx.db.read.idempotencyKey.count({ where: { about: made.id } })
  assert.equal(shown, 0)
})

test('of two who rotate a key at once each token that is handed out is good', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const { body: made } = await root.post(keys).send({ name: 'raced', role: 'viewer' }).expect(201)
  const answers = await Promise.all(
    [1, 2, 3].map(() => root.post(`${keys}/${made.id}/rotate`).send({})),
  )
  const given = answers.filter(({ status }) => status === 200)
  assert.ok(given.length > 0 && answers.every(({ status }) => status === 200 || status === 409))
  if (given.length === 1) await send(given[0]?.body.token).get('/v1/whoami').expect(200)
})

test('a key that is narrowed makes, and gets tokens of, none that may do more', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const scopes = ['api-keys:write', 'hosts:write']
  const { body } = await root.post(keys).send({ name: 'narrow', role: 'admin', scopes }).expect(201)
  const narrow = send(body.token)
  const make = (asked: object) => narrow.post(keys).send({ role: 'admin', ...asked })
  await make({ name: 'more', scopes: ['certificates:read'] }).expect(403)
  await make({ name: 'nothing', scopes: [] }).expect(422)
  await make({ name: 'unknown', scopes: ['all'] }).expect(422)
  await make({ name: 'less', scopes: ['hosts:read'] }).expect(201)
  assert.deepEqual((await make({ name: 'same' }).expect(201)).body.scopes, scopes)
  const { body: wide } = await root.post(keys).send({ name: 'wide', role: 'admin' }).expect(201)
  await narrow.post(`${keys}/${wide.id}/rotate`).send({}).expect(403)
  const { body: who } = await narrow.get('/v1/whoami').expect(200)
  assert.deepEqual([who.role, who.scopes, who.tenant, who.quotas], ['admin', scopes, null, null])
})

test('no key is good for longer than the settings allow, and a tenant is told its limits', async () => {
  const held = { ...ctx, config: { ...ctx.config, apiKeyDays: 10 } }
  const asked = { name: 'short', role: 'viewer' } as const
  const { expiresAt, id } = await createApiKey(held, admin, { tenant: null, request: asked })
  assert.ok(Date.parse(expiresAt ?? '') <= Date.now() + 10 * 86_400_000)
  const long = new Date(Date.now() + 11 * 86_400_000).toISOString()
  const request = { expiresAt: long }
  const refused = isProblem('request-invalid')
  await assert.rejects(rotateApiKey(held, admin, { tenant: null, id, request }), refused)
  await createTenant(ctx, admin, { name: 'limited', domains: [] })
  const token = await tokenFor(ctx, 'limited', 'viewer')
  const { body } = await send(token).get('/v1/whoami').expect(200)
  assert.equal(body.tenant, 'limited')
  assert.equal(body.usage.apiKeys, 1)
  const names = body.limits.map(({ name }: { readonly name: string }) => name)
  assert.deepEqual(names, ['key', 'tenant'])
})

test('a key is renamed, narrowed and given an end, by whoever has that much', async () => {
  const root = send(await makeAdminKey(ctx, 'root'))
  const { body } = await root.post(keys).send({ name: 'ci', role: 'operator' }).expect(201)
  const at = `${keys}/${body.id}`
  const { headers } = await root.get(at).expect(200)
  const patch = { name: 'ci-2', scopes: ['hosts:write'] }
  const dry = await root.patch(`${at}?dryRun=true`).send(patch).expect(200)
  assert.deepEqual([dry.body.name, (await root.get(at)).body.name], ['ci-2', 'ci'])
  const changed = await root
    .patch(at)
    .set('if-match', headers.etag ?? '')
    .send(patch)
    .expect(200)
  assert.deepEqual([changed.body.name, changed.body.scopes], ['ci-2', ['hosts:write']])
  await root
    .patch(at)
    .set('if-match', headers.etag ?? '')
    .send({ name: 'ci-3' })
    .expect(412)
  // The token stays, and opens what is left.
  const own = send(body.token)
  await own.get('/v1/hosts').expect(200)
  await own.get('/v1/certificates').expect(403)
  await root.patch(at).send({ scopes: null, expiresAt: '2020-01-01T00:00:00Z' }).expect(422)
  await root.patch(at).send({ name: 'root' }).expect(422)
  await root.patch(at).send({ role: 'admin' }).expect(422)
  const narrow = await root
    .post(keys)
    .send({ name: 'narrowed', role: 'admin', scopes: ['api-keys:write', 'hosts:write'] })
    .expect(201)
  const less = send(narrow.body.token)
  await less.patch(at).send({ scopes: null }).expect(403)
  await less.patch(at).send({ name: 'ci-4' }).expect(200)
  await root.patch(at).send({ scopes: null }).expect(200)
  await less.patch(at).send({ name: 'ci-5' }).expect(403)
  const where = { action: 'api-key.changed', subjectId: body.id }
  assert.equal(await ctx.db.read.auditEvent.count({ where }), 3)
  const all: readonly Key[] = (await root.get(keys)).body.items
  const me = (await root.get('/v1/whoami')).body
  for (const { id, role } of all) {
    if (role === 'admin' && id !== me.id && id !== narrow.body.id)
      await root.delete(`${keys}/${id}`)
  }
  const last = await root
    .patch(`${keys}/${me.id}`)
    .send({ scopes: ['hosts:read'] })
    .expect(409)
  assert.match(last.body.type, /api-key-needed$/)
})
