import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import supertest from 'supertest'
import { WebSocket } from 'ws'
import { sql } from '../../../src/core/database/db.ts'
import { hour, minute } from '../../../src/shared/moment.ts'
import { createApiKey, revokeApiKey } from '../../../src/tenants/apikeys/lifecycle.ts'
import { rotateApiKey } from '../../../src/tenants/apikeys/rotate.ts'
import { makeSignInCode } from '../../../src/tenants/sessions/codes.ts'
import { forgetSessions } from '../../../src/tenants/sessions/forget.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

// A browser that is signed in by a cookie, as what it sends and is answered.

let shift = 0
const now = () => new Date(Date.now() + shift)
const { ctx, url, send, http } = await openTestApi({ now }, { trustedProxies: ['127.0.0.1'] })
await createTenant(ctx, admin, { name: 'shop', domains: [] })
// An agent would keep cookies by itself.
const anyone = supertest(url)
const origin = url

type Signed = { readonly cookie: string; readonly csrf: string; readonly expiresAt: string }

/** Signs in, and answers what a browser keeps. */
async function signIn(body: object, cookie = ''): Promise<Signed> {
  const answer = await anyone.post('/console/session').set('cookie', cookie).send(body).expect(200)
  const [set = ''] = answer.get('Set-Cookie') ?? []
  const { signedIn, csrfToken, expiresAt, oidc } = answer.body
  assert.deepEqual([signedIn, oidc], [true, false])
  return { cookie: set.split(';')[0] ?? '', csrf: csrfToken, expiresAt }
}

const read = (cookie: string, path = '/v1/whoami') => anyone.get(path).set('cookie', cookie)

async function problemOf(asked: PromiseLike<{ body: { type?: string }; status: number }>) {
  const { body, status } = await asked
  return `${status} ${body.type?.split('/').at(-1)}`
}

const newKey = async (name: string, expiresAt?: string) =>
  createApiKey(ctx, admin, {
    tenant: 'shop',
    request: { name, role: 'admin', ...(expiresAt ? { expiresAt } : {}) },
  })

test('an API key signs a browser in, which then is who bears the key, in the trail too', async () => {
  const key = await newKey('laptop')
  const before = await anyone.get('/console/session').expect(200)
  assert.deepEqual(before.body, { signedIn: false, oidc: false })
  const answer = await anyone.post('/console/session').send({ apiKey: key.token }).expect(200)
  const [set = ''] = answer.get('Set-Cookie') ?? []
  assert.match(set, /^gatesmith-console=gsms_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
  const [cookie = ''] = set.split(';')
  const { body } = await read(cookie).expect(200)
  assert.deepEqual(
    [body.kind, body.id, body.name, body.tenant, body.role],
    ['api-key', key.id, 'laptop', 'shop', 'admin'],
  )
  assert.equal(body.expiresAt, answer.body.expiresAt)
  const told = await read(cookie, '/console/session').expect(200)
  assert.deepEqual(told.body, answer.body)
  await anyone
    .post('/v1/tenants/shop/api-keys')
    .set({ cookie, 'x-csrf-token': answer.body.csrfToken })
    .send({ name: 'made', role: 'viewer' })
    .expect(201)
  await anyone
    .delete('/console/session')
    .set({ cookie, 'x-csrf-token': answer.body.csrfToken })
    .expect(204)
  const trail = await http.get('/v1/audit-events').query({ actor: key.id, sort: 'seq' }).expect(200)
  const events = trail.body.items.filter(
    ({ action }: { action: string }) => action !== 'access.signed-in',
  )
  assert.deepEqual(
    events.map(({ action, actor, tenant, subject, changes }: Record<string, never>) => ({
      ...{ action, actor, tenant },
      ...(String(action).startsWith('access') ? { subject, changes } : {}),
    })),
    [
      ['access.session-opened', { by: 'api-key' }] as const,
      ['api-key.created', undefined] as const,
      ['access.session-ended', {}] as const,
    ].map(([action, changes]) => ({
      ...{ action, actor: { kind: 'api-key', id: key.id, name: 'laptop' }, tenant: 'shop' },
      ...(changes
        ? { subject: { kind: 'address', id: '127.0.0.1', name: '127.0.0.1' }, changes }
        : {}),
    })),
  )
})

test('nothing of a cookie or a code is stored but its SHA-256, and answers show neither', async () => {
  const token = await tokenFor(ctx, 'shop')
  const code = await makeSignInCode(ctx, { token, milliseconds: minute })
  const { cookie, csrf } = await signIn({ apiKey: token })
  const [, value = ''] = cookie.split('=')
  const rows = await ctx.db.read.$queryRaw<readonly { row: string }[]>(sql`
    select session::text as row from session union all select sign_in_code::text from sign_in_code
    union all select changes::text from audit_event`)
  for (const secret of [value, csrf, code, token]) {
    for (const form of [secret, Buffer.from(secret).toString('hex')]) {
      assert.ok(rows.every(({ row }) => !row.includes(form)))
    }
  }
  const { text } = await read(cookie, '/console/session')
  assert.ok(!text.includes(value))
})

test('over TLS the cookie is one that no other host and no plain connection can write', async () => {
  const token = await tokenFor(ctx, 'shop')
  const proto = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'gatesmith.test' }
  const answer = await anyone
    .post('/console/session')
    .set(proto)
    .send({ apiKey: token })
    .expect(200)
  const [set = ''] = answer.get('Set-Cookie') ?? []
  assert.match(set, /^__Host-gatesmith=gsms_[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/)
  const [cookie = ''] = set.split(';')
  await read(cookie).set(proto).expect(200)
  assert.equal(await problemOf(read(cookie)), '401 credentials-missing')
  const plain = cookie.replace('__Host-gatesmith', 'gatesmith-console')
  assert.equal(await problemOf(read(plain).set(proto)), '401 credentials-missing')
  const csrf = { ...proto, 'x-csrf-token': answer.body.csrfToken }
  const change = () =>
    anyone
      .post('/v1/tenants/shop/api-keys')
      .set({ cookie, ...csrf })
      .send({ name: `x${shift++}`, role: 'viewer' })
  await change().set('origin', 'https://gatesmith.test').expect(201)
  assert.equal(await problemOf(change().set('origin', origin)), '403 csrf-refused')
})

test('a change needs what only our pages can know, and no page of another origin gets anything', async () => {
  const token = await tokenFor(ctx, 'shop')
  const { cookie, csrf } = await signIn({ apiKey: token })
  const other = await signIn({ apiKey: token })
  let count = 0
  const change = (headers: Readonly<Record<string, string>>) =>
    anyone
      .post('/v1/tenants/shop/api-keys')
      .set({ cookie, ...headers })
      .send({ name: `c${count++}`, role: 'viewer' })
  await change({ 'x-csrf-token': csrf }).expect(201)
  await change({ 'x-csrf-token': csrf, origin, 'sec-fetch-site': 'same-origin' }).expect(201)
  await change({ 'x-csrf-token': csrf, origin }).expect(201)
  const wrong: readonly Readonly<Record<string, string>>[] = [
    {},
    { 'x-csrf-token': '' },
    { 'x-csrf-token': `${csrf}x` },
    { 'x-csrf-token': `${csrf.slice(0, -1)}~` },
    { 'x-csrf-token': other.csrf },
    { 'x-csrf-token': csrf, origin: 'http://evil.test' },
    { 'x-csrf-token': csrf, origin: 'null' },
    { 'x-csrf-token': csrf, origin: 'http://127.0.0.1:1' },
    { 'x-csrf-token': csrf, 'sec-fetch-site': 'cross-site' },
    { 'x-csrf-token': csrf, 'sec-fetch-site': 'same-site', origin },
  ]
  for (const headers of wrong) {
    assert.equal(await problemOf(change(headers)), '403 csrf-refused', JSON.stringify(headers))
  }
  const { body } = await change({}).expect(403)
  assert.match(body.detail, /X-CSRF-Token.*csrfToken of GET \/console\/session/)
  for (const method of ['patch', 'delete'] as const) {
    const asked = anyone[method]('/v1/tenants/shop').set('cookie', cookie)
    assert.equal(await problemOf(asked), '403 csrf-refused', method)
  }
  const query = { query: '{ whoami: tenant(name: "shop") { name } }' }
  const graphql = () => anyone.post('/graphql').set('cookie', cookie).send(query)
  assert.equal(await problemOf(graphql()), '403 csrf-refused')
  const answered = await graphql().set('x-csrf-token', csrf).expect(200)
  assert.equal(answered.body.data.whoami.name, 'shop')
  // Private keys are handed out once, by GET.
  assert.equal(await problemOf(read(cookie).set('sec-fetch-site', 'same-site')), '403 csrf-refused')
  assert.equal(await problemOf(read(cookie).set('origin', 'http://evil.test')), '403 csrf-refused')
  await read(cookie).set('sec-fetch-site', 'none').expect(200)
  const seen = await read(cookie, '/console/session').set('sec-fetch-site', 'cross-site')
  assert.deepEqual(seen.body, { signedIn: false, oidc: false })
})

test('who sends Authorization is who that says, whatever cookie comes with it', async () => {
  const { cookie } = await signIn({ apiKey: await tokenFor(ctx, 'shop') })
  const viewer = await tokenFor(ctx, 'shop', 'viewer')
  const { body } = await send(viewer).get('/v1/whoami').set('cookie', cookie).expect(200)
  assert.equal(body.role, 'viewer')
  await http.post('/v1/tenants').set('cookie', cookie).send({ name: 'n', domains: [] }).expect(201)
  const refused = read(cookie).set('authorization', 'Bearer gsm_no')
  assert.equal(await problemOf(refused), '401 credentials-refused')
  const odd = read(cookie).set('authorization', 'Digest x')
  assert.equal(await problemOf(odd), '401 credentials-missing')
})

test('signing in is for our own pages, by one thing, and refused alike for whatever opens nothing', async () => {
  const token = await tokenFor(ctx, 'shop')
  const signing = (body: object) => anyone.post('/console/session').send(body)
  for (const headers of [{ origin: 'http://evil.test' }, { 'sec-fetch-site': 'cross-site' }]) {
    const asked = signing({ apiKey: token }).set(headers)
    assert.equal(await problemOf(asked), '403 csrf-refused', JSON.stringify(headers))
  }
  for (const body of [{}, { apiKey: token, code: 'x' }, { apiKey: '' }, { token }, { code: 1 }]) {
    assert.equal(await problemOf(signing(body)), '422 request-invalid', JSON.stringify(body))
  }
  const form = anyone.post('/console/session').type('form').send({ apiKey: token })
  assert.equal(await problemOf(form), '415 media-type-unsupported')
  for (const body of [
    { apiKey: 'gsm_none' },
    { apiKey: 'a.b.c' },
    { code: token },
    { code: 'x' },
  ]) {
    const answer = await signing(body).expect(401)
    assert.match(answer.body.type, /credentials-refused$/)
    assert.equal(answer.get('Set-Cookie'), undefined)
  }
})

test('a code signs in once, for its time, and the one before it not at all', async () => {
  const token = await tokenFor(ctx, 'shop')
  const make = () => makeSignInCode(ctx, { token, milliseconds: minute })
  const former = await make()
  const code = await make()
  const signing = (each: string) => anyone.post('/console/session').send({ code: each })
  assert.equal(await problemOf(signing(former)), '401 credentials-refused')
  const answers = await Promise.all([code, code, code].map((each) => signing(each)))
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401, 401])
  assert.equal(await problemOf(signing(code)), '401 credentials-refused')
  const late = await make()
  shift += minute
  assert.equal(await problemOf(signing(late)), '401 credentials-refused')
})

test('each sign-in has a cookie of its own, and ends the one that the browser had', async () => {
  const token = await tokenFor(ctx, 'shop')
  const first = await signIn({ apiKey: token })
  const second = await signIn({ apiKey: token }, first.cookie)
  assert.notEqual(second.cookie, first.cookie)
  assert.notEqual(second.csrf, first.csrf)
  assert.equal(await problemOf(read(first.cookie)), '401 credentials-refused')
  await read(second.cookie).expect(200)
  const chosen = `gatesmith-console=gsms_${'A'.repeat(43)}`
  const third = await signIn({ apiKey: token }, chosen)
  assert.notEqual(third.cookie, chosen)
  assert.equal(await problemOf(read(chosen)), '401 credentials-refused')
  const both = `${second.cookie}; ${third.cookie}`
  assert.equal(await problemOf(read(both)), '401 credentials-missing')
})

test('signing out ends the session, needs the token too, and does nothing where there is none', async () => {
  const { cookie, csrf } = await signIn({ apiKey: await tokenFor(ctx, 'shop') })
  const leave = () => anyone.delete('/console/session').set('cookie', cookie)
  assert.equal(await problemOf(leave()), '403 csrf-refused')
  await read(cookie).expect(200)
  const left = await leave().set('x-csrf-token', csrf).expect(204)
  const gone = /^gatesmith-console=; Path=\/; HttpOnly; SameSite=Strict; Max-Age=0$/
  assert.match(left.get('Set-Cookie')?.[0] ?? '', gone)
  assert.equal(await problemOf(read(cookie)), '401 credentials-refused')
  await leave().set('x-csrf-token', csrf).expect(204)
  // As who sends no body may still name its type.
  await anyone.delete('/console/session').type('application/json').expect(204)
  const told = await read(cookie, '/console/session').expect(200)
  assert.deepEqual(told.body, { signedIn: false, oidc: false })
  assert.match(told.get('Set-Cookie')?.[0] ?? '', gone)
})

test('a session is as good as its API key: revoked, rotated or ended, it is over', async () => {
  const place = { tenant: 'shop' }
  const revoked = await newKey('revoked')
  const one = await signIn({ apiKey: revoked.token })
  await revokeApiKey(ctx, admin, { ...place, id: revoked.id })
  assert.equal(await problemOf(read(one.cookie)), '401 credentials-refused')
  const rotated = await newKey('rotated')
  const two = await signIn({ apiKey: rotated.token })
  const rotate = (overlapSeconds: number) =>
    rotateApiKey(ctx, admin, { ...place, id: rotated.id, request: { overlapSeconds } })
  await rotate(600)
  await read(two.cookie).expect(200)
  await rotate(0)
  assert.equal(await problemOf(read(two.cookie)), '401 credentials-refused')
  const end = new Date(now().getTime() + 10 * minute).toISOString()
  const ending = await newKey('ending', end)
  const three = await signIn({ apiKey: ending.token })
  assert.equal(three.expiresAt, end)
  shift += 10 * minute
  assert.equal(await problemOf(read(three.cookie)), '401 credentials-refused')
  const narrow = await newKey('narrow')
  const four = await signIn({ apiKey: narrow.token })
  const patch = { scopes: ['hosts:read'] }
  await http.patch(`/v1/tenants/shop/api-keys/${narrow.id}`).send(patch).expect(200)
  assert.deepEqual((await read(four.cookie).expect(200)).body.scopes, ['hosts:read'])
})

test('it ends after an hour without a request and after eight hours in any case, and is swept', async () => {
  const token = await tokenFor(ctx, 'shop')
  const unused = await signIn({ apiKey: token })
  const used = await signIn({ apiKey: token })
  assert.equal(Math.round((Date.parse(used.expiresAt) - now().getTime()) / minute), 480)
  shift += hour - minute
  await read(used.cookie).expect(200)
  // Asking whether one is signed in is no use of it.
  await read(unused.cookie, '/console/session').expect(200)
  shift += 2 * minute
  await read(used.cookie).expect(200)
  assert.equal(await problemOf(read(unused.cookie)), '401 credentials-refused')
  for (let passed = 62; passed < 480; passed += 50) {
    await read(used.cookie).expect(200)
    shift += 50 * minute
  }
  assert.equal(await problemOf(read(used.cookie)), '401 credentials-refused')
  const open = await signIn({ apiKey: token })
  await forgetSessions(ctx)
  assert.equal(await ctx.db.read.session.count(), 1)
  assert.equal(await ctx.db.read.signInCode.count(), 0)
  await read(open.cookie).expect(200)
})

test('one API key is signed in at twenty browsers at most: the oldest makes room', async () => {
  const token = await tokenFor(ctx, 'shop')
  const all: Signed[] = []
  for (let count = 0; count < 21; count++) {
    all.push(await signIn({ apiKey: token }))
    shift += 1
  }
  const [first, second, last] = [all[0], all[1], all[20]]
  assert.equal(await problemOf(read(first?.cookie ?? '')), '401 credentials-refused')
  for (const each of [second, last]) await read(each?.cookie ?? '').expect(200)
})

test('what happens is followed by the cookie from our own pages alone', async () => {
  const { cookie, csrf } = await signIn({ apiKey: await tokenFor(ctx, 'shop') })
  const streamed = async (headers: Readonly<Record<string, string>>) => {
    const asked = { cookie, accept: 'text/event-stream', ...headers }
    const response = await fetch(`${url}/v1/tenants/shop/events`, { headers: asked })
    await response.body?.cancel()
    return response.status
  }
  assert.equal(await streamed({}), 200)
  assert.equal(await streamed({ origin: 'http://evil.test' }), 403)
  const address = `${url.replace('http', 'ws')}/graphql`
  const introduce = async (headers: Readonly<Record<string, string>>) => {
    const socket = new WebSocket(address, 'graphql-transport-ws', { headers })
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'connection_init' }))
    const answer = await Promise.race([
      once(socket, 'message').then(([data]) => JSON.parse(String(data)).type as string),
      once(socket, 'close').then(([code]) => code as number),
    ])
    return { answer, socket }
  }
  const refused = [
    { cookie },
    { cookie, origin: 'http://evil.test' },
    { cookie, 'sec-fetch-site': 'cross-site', origin },
    { cookie: 'gatesmith-console=gsms_none', origin },
  ]
  for (const headers of refused) {
    assert.equal((await introduce(headers)).answer, 4403, JSON.stringify(headers))
  }
  const { answer, socket } = await introduce({ cookie, origin })
  assert.equal(answer, 'connection_ack')
  await anyone.delete('/console/session').set({ cookie, 'x-csrf-token': csrf }).expect(204)
  const query = 'subscription { hostStatus(tenant: "shop", name: "a.test") { generation } }'
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }))
  const [data] = await once(socket, 'message')
  assert.match(String(data), /credentials-refused/)
  socket.close()
})

test('who tries what opens nothing is slowed down, as with tokens', async () => {
  const { send: to } = await openTestApi(
    {},
    { rates: { key: 0, tenant: 0, address: 0, failures: 3 } },
  )
  const signing = () => to(null).post('/console/session').send({ apiKey: 'gsm_none' })
  for (let count = 0; count < 3; count++) await signing().expect(401)
  const limited = await signing().expect(429)
  assert.ok(Number(limited.headers['retry-after']) > 0)
})
