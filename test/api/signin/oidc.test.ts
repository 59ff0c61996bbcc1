import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import {
  type CryptoKey,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
  UnsecuredJWT,
} from 'jose'
import Provider from 'oidc-provider'
import { readConfig } from '../../../src/core/config.ts'
import { SettingError } from '../../../src/core/settings/environment.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

// A real provider, whose keys, answers and silence are ours to choose; what the clock says is, too.

const audience = 'https://gatesmith.test'
let shift = 0
const now = () => new Date(Date.now() + shift)
const minutes = (count: number) => count * 60_000

let answer: RequestListener = (_, response) => response.destroy()
const asked: string[] = []
const server = createServer((request, response) => {
  asked.push(request.url ?? '')
  answer(request, response)
})
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
after(() => server.close())
const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const { ctx, http, send } = await openTestApi(
  { now },
  {
    oidc: {
      ...{ issuer, audience, algorithms: ['RS256'] },
      ...{ roleClaim: '/access/groups', tenantClaim: 'team' },
      roles: [
        { value: 'platform', role: 'admin', tenant: '*' },
        { value: 'shop-ops', role: 'operator', tenant: 'shop' },
        { value: 'reads', role: 'viewer' },
      ],
    },
  },
)
for (const name of ['shop', 'blog']) await createTenant(ctx, admin, { name, domains: [] })

type Key = {
  readonly kid: string
  readonly jwk: JWK
  readonly sign: CryptoKey
  readonly verify: CryptoKey
}

async function newKey(kid: string, alg = 'RS256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...(await exportJWK(privateKey)), kid, alg, use: 'sig' }
  return { kid, jwk, sign: privateKey, verify: publicKey }
}

const claimsOf: Readonly<Record<string, object>> = {
  root: { access: { groups: ['else', 'platform'] } },
  ops: { access: { groups: 'shop-ops' } },
  reader: { access: { groups: ['reads'] }, team: 'blog' },
  stranger: { access: { groups: ['nothing'] } },
  homeless: { access: { groups: ['reads'] } },
  lost: { access: { groups: ['reads'] }, team: 'gone' },
  odd: { access: { groups: ['reads'] }, team: 'a\u0000b' },
}

/** The provider with these keys takes over at the same URL. */
function provide(keys: readonly Key[]): void {
  const provider = new Provider(issuer, {
    jwks: { keys: keys.map(({ jwk }) => jwk) },
    clients: Object.keys(claimsOf).map((id) => ({
      ...{ client_id: id, client_secret: 'secret', grant_types: ['client_credentials'] },
      ...{ redirect_uris: [], response_types: [] },
    })),
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          ...{ scope: '', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600 },
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    extraTokenClaims: (_, token) => claimsOf[token.clientId ?? ''] as never,
  })
  answer = provider.callback()
}

/** A token as its client gets it. */
async function tokenOf(client: string, resource = audience): Promise<string> {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client}:secret`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
  })
  const { access_token: token } = (await response.json()) as { access_token?: string }
  assert.ok(token)
  return token
}

const usual = { alg: 'RS256', typ: 'at+jwt', kid: 'first' }

/** A token of our own making: right but for what is given. */
function made(
  key: CryptoKey | Uint8Array,
  claims: Readonly<Record<string, unknown>> = {},
  header: Partial<JWTHeaderParameters> = {},
) {
  const seconds = Math.floor(now().getTime() / 1000)
  const all = {
    iss: issuer,
    aud: audience,
    sub: 'me',
    exp: seconds + 60,
    ...claimsOf.root,
    ...claims,
  }
  return new SignJWT(all).setProtectedHeader({ ...usual, ...header }).sign(key)
}

const statusOf = async (token: string) => (await send(token).get('/v1/whoami')).status

const first = await newKey('first')
provide([first])

test('a token of the provider opens what its claims are mapped to, and the trail names its subject', async () => {
  const root = await tokenOf('root')
  const { body } = await send(root).get('/v1/whoami').expect(200)
  const { kind, name, role, tenant, expiresAt, limits } = body
  assert.deepEqual(
    { kind, name, role, tenant },
    {
      ...{ kind: 'oidc', name: `${issuer} root`, role: 'admin', tenant: null },
    },
  )
  assert.ok(Date.parse(expiresAt) > Date.now())
  assert.deepEqual(
    limits.map((each: { name: string }) => each.name),
    ['key'],
  )
  const request = { name: 'made', domains: [] }
  const create = () => send(root).post('/v1/tenants').set('idempotency-key', 'once').send(request)
  await create().expect(201)
  await create().expect(201)
  const trail = await send(root)
    .get('/v1/audit-events')
    .query({ action: 'tenant.created', actor: `${issuer} root` })
  assert.deepEqual(
    trail.body.items.map((each: { actor: object }) => each.actor),
    [{ kind: 'oidc', id: body.id, name: `${issuer} root` }],
  )
  const ops = send(await tokenOf('ops'))
  await ops.get('/v1/tenants/shop').expect(200)
  await ops.get('/v1/tenants/blog').expect(404)
  await ops.post('/v1/tenants/shop/api-keys').send({ name: 'a', role: 'viewer' }).expect(403)
  const reader = await send(await tokenOf('reader'))
    .get('/v1/whoami')
    .expect(200)
  assert.deepEqual([reader.body.role, reader.body.tenant], ['viewer', 'blog'])
  for (const client of ['stranger', 'homeless', 'lost', 'odd']) {
    const refused = await send(await tokenOf(client))
      .get('/v1/whoami')
      .expect(403)
    assert.match(refused.body.detail, /your token/i, client)
  }
})

test('what is not signed for us, by the provider and for now, is refused, and never says why', async () => {
  const other = await newKey('first')
  const elliptic = await newKey('first', 'ES256')
  const publicPem = new TextEncoder().encode(await exportSPKI(first.verify))
  const seconds = Math.floor(now().getTime() / 1000)
  const good = await made(first.sign)
  const [head = '', body = '', mark = ''] = good.split('.')
  const unsigned = new UnsecuredJWT({ iss: issuer, aud: audience, sub: 'me', ...claimsOf.root })
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const wrong: Readonly<Record<string, string>> = {
    'for another audience': await tokenOf('root', 'https://other.test'),
    'of another issuer': await made(first.sign, { iss: 'https://other.test' }),
    'of an issuer alike': await made(first.sign, { iss: `${issuer}/` }),
    expired: await made(first.sign, { exp: seconds - 31 }),
    'without an end': await made(first.sign, { exp: undefined }),
    'with an end that is none': await made(first.sign, { exp: 'never' }),
    'not good yet': await made(first.sign, { nbf: seconds + 300 }),
    'without a subject': await made(first.sign, { sub: undefined }),
    'with a strange subject': await made(first.sign, { sub: 'a\nb' }),
    'with a subject of 256 signs': await made(first.sign, { sub: 'a'.repeat(256) }),
    'bound to a key': await made(first.sign, { cnf: { jkt: 'x' } }),
    'of another type': await made(first.sign, {}, { typ: 'logout+jwt' }),
    'by another key': await made(other.sign),
    'by another algorithm of that key': await made(
      await crypto.subtle.importKey(
        'jwk',
        { ...first.jwk, alg: 'PS256' },
        { name: 'RSA-PSS', hash: 'SHA-256' },
        false,
        ['sign'],
      ),
      {},
      { alg: 'PS256' },
    ),
    'by an algorithm of another kind': await made(elliptic.sign, {}, { alg: 'ES256' }),
    'by the public key as a password': await made(publicPem, {}, { alg: 'HS256' }),
    'by a key that it brings': await made(other.sign, {}, { jwk: await exportJWK(other.verify) }),
    'by nobody': unsigned.setExpirationTime('1h').encode(),
    'by nobody, with a signature': `${encode({ ...usual, alg: 'none' })}.${body}.${mark}`,
    changed: `${head}.${encode({ iss: issuer, aud: audience, sub: 'you', exp: seconds + 60, ...claimsOf.root })}.${mark}`,
    'with a head that is none': `${encode('x')}.${body}.${mark}`,
    'of five parts': `${good}.a.b`,
    'with a long head': await made(first.sign, {}, { x: 'x'.repeat(2000) }),
  }
  assert.equal(await statusOf(good), 200)
  assert.equal(await statusOf(await made(first.sign, { exp: seconds - 10 })), 200, 'a slow clock')
  for (const [what, token] of Object.entries(wrong)) {
    const refused = await send(token).get('/v1/whoami')
    assert.equal(refused.status, 401, what)
    assert.match(refused.body.detail, /^Send a token that is in force/, what)
    assert.equal(refused.headers['www-authenticate'], 'Bearer error="invalid_token"')
  }
  const long = await made(first.sign, { x: 'x'.repeat(7000) })
  assert.match((await send(long).get('/v1/whoami').expect(401)).body.type, /credentials-missing$/)
})

const readings = () => asked.filter((path) => path === '/jwks').length

test('a change of keys is noticed at once, and keys that are unknown are not asked for again and again', async () => {
  shift += minutes(1)
  const second = await newKey('second')
  provide([second, first])
  const before = readings()
  const tokens = await Promise.all([1, 2, 3].map(() => tokenOf('root')))
  assert.deepEqual(await Promise.all(tokens.map(statusOf)), [200, 200, 200])
  assert.equal(readings(), before + 1)
  const strange = await newKey('strange')
  const strangers = await Promise.all(['a', 'b', 'c'].map((kid) => made(strange.sign, {}, { kid })))
  assert.deepEqual(await Promise.all(strangers.map(statusOf)), [401, 401, 401])
  assert.equal(readings(), before + 1)
  shift += minutes(1)
  assert.deepEqual(await Promise.all(strangers.map(statusOf)), [401, 401, 401])
  assert.equal(readings(), before + 2)
  // A key that is withdrawn is good until the next reading, and no longer.
  provide([second])
  shift += minutes(10)
  await statusOf(await made(second.sign, {}, { kid: 'second' }))
  while (readings() < before + 3) await new Promise(setImmediate)
  assert.equal(await statusOf(await made(first.sign)), 401)
})

test('while the provider is silent the keys that are known are good for a day, and then nothing is', async () => {
  provide([first])
  shift += minutes(1)
  assert.equal(await statusOf(await made(first.sign)), 200)
  answer = (_, response) => response.destroy()
  shift += minutes(23 * 60)
  assert.equal(await statusOf(await made(first.sign)), 200)
  shift += minutes(1)
  const strange = await send(await made(first.sign, {}, { kid: 'new' })).get('/v1/whoami')
  assert.equal(strange.status, 503, 'it may be a key that was made meanwhile')
  shift += minutes(60)
  const before = asked.length
  const refused = await send(await made(first.sign))
    .get('/v1/whoami')
    .expect(503)
  assert.match(refused.body.detail, /identity provider/)
  assert.equal(refused.headers['retry-after'], '5')
  await send(await made(first.sign))
    .get('/v1/whoami')
    .expect(503)
  assert.equal(asked.length, before + 1)
  // API keys go on.
  await http.get('/v1/whoami').expect(200)
})

const published = await exportJWK(first.verify)
const metadata =
  (jwks: string, more: object = {}): RequestListener =>
  (request, response) => {
    const keys = [{ ...published, kid: 'first' }]
    const found = request.url === '/jwks' ? { keys } : { issuer, jwks_uri: jwks, ...more }
    response.end(JSON.stringify(found))
  }

test('a provider that answers something else than its keys opens nothing', async () => {
  const huge = 'x'.repeat(300_000)
  const answers: Readonly<Record<string, RequestListener>> = {
    'keys at a metadata address': metadata('http://169.254.169.254/keys'),
    'keys that are no URL': metadata('file:///etc/passwd'),
    'metadata of another': metadata(`${issuer}/jwks`, { issuer: 'https://other.test' }),
    'a redirect': (_, response) => response.writeHead(302, { location: `${issuer}/x` }).end(),
    'too much': metadata(`${issuer}/jwks`, { huge }),
    'no JSON': (_, response) => response.end('<html>'),
    'no object': (_, response) => response.end('null'),
    'half of it': (_, response) => response.writeHead(200, { 'content-length': 9 }).end('{'),
  }
  for (const [what, listener] of Object.entries(answers)) {
    answer = listener
    shift += minutes(1)
    assert.equal(await statusOf(await made(first.sign)), 503, what)
  }
  answer = metadata(`${issuer}/jwks`)
  shift += minutes(1)
  assert.equal(await statusOf(await made(first.sign)), 200)
})

test('settings that cannot be meant are refused, with their name', () => {
  const environment = {
    DATABASE_URL: 'postgres://a@b/c',
    GATESMITH_SEALING_KEY: Buffer.alloc(32).toString('base64'),
  }
  const read = (more: object) => readConfig({ ...environment, ...more }).oidc
  assert.equal(read({}), undefined)
  const both = { GATESMITH_OIDC_ISSUER: 'https://a.test', GATESMITH_OIDC_AUDIENCE: 'a' }
  assert.deepEqual(read(both)?.algorithms, ['RS256'])
  const roles = 'cn=a=admin@*, b=viewer@shop,c=auditor'
  assert.deepEqual(read({ ...both, GATESMITH_OIDC_ROLES: roles })?.roles, [
    { value: 'cn=a', role: 'admin', tenant: '*' },
    { value: 'b', role: 'viewer', tenant: 'shop' },
    { value: 'c', role: 'auditor' },
  ])
  assert.equal(read(both)?.console, undefined)
  const own = { ...both, GATESMITH_OIDC_CONSOLE_CLIENT_ID: 'console' }
  assert.deepEqual(read(own)?.console, { clientId: 'console', scope: 'openid' })
  const more = {
    GATESMITH_OIDC_CONSOLE_CLIENT_SECRET: 's',
    GATESMITH_OIDC_CONSOLE_SCOPE: 'openid groups',
  }
  assert.deepEqual(read({ ...own, ...more })?.console, {
    ...{ clientId: 'console', clientSecret: 's', scope: 'openid groups' },
  })
  for (const wrong of [
    { ...both, ...more },
    { GATESMITH_OIDC_CONSOLE_CLIENT_ID: 'console' },
    { ...own, GATESMITH_OIDC_CONSOLE_SCOPE: 'groups' },
    { ...own, GATESMITH_OIDC_CONSOLE_SCOPE: 'openid "' },
    { ...own, GATESMITH_OIDC_CONSOLE_CLIENT_SECRET_FILE: '/nowhere' },
    { ...own, ...more, GATESMITH_OIDC_CONSOLE_CLIENT_SECRET_FILE: '/nowhere' },
    { GATESMITH_OIDC_ISSUER: 'https://a.test' },
    { GATESMITH_OIDC_ROLES: 'a=admin' },
    { ...both, GATESMITH_OIDC_ISSUER: 'http://a.test' },
    { ...both, GATESMITH_OIDC_ISSUER: 'https://a@b.test' },
    { ...both, GATESMITH_OIDC_ALGORITHMS: 'RS256,HS256' },
    { ...both, GATESMITH_OIDC_ALGORITHMS: 'none' },
    { ...both, GATESMITH_OIDC_ALGORITHMS: ',' },
    { ...both, GATESMITH_OIDC_ROLES: 'a=root' },
    { ...both, GATESMITH_OIDC_ROLES: 'a=admin@' },
  ]) {
    const named = (error: unknown) =>
      error instanceof SettingError && /GATESMITH_OIDC_/.test(error.message)
    assert.throws(() => read(wrong), named, JSON.stringify(wrong))
  }
})
