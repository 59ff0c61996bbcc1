import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as plainRequest, type RequestOptions } from 'node:http'
import { Agent, request as tlsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { readConfig } from '../../../src/core/config.ts'
import { SettingError } from '../../../src/core/settings/environment.ts'
import { openTls } from '../../../src/main/tls.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { freePorts } from '../../support/process.ts'

let shift = 0
// Another address of this machine stands for a proxy.
const proxy = '127.0.0.2'
const { ctx, api, url, http, send } = await openTestApi(
  { now: () => new Date(Date.now() + shift) },
  { trustedProxies: [proxy], clientCertHeader: 'client-cert' },
)
const keyAlgorithm = 'ECDSA_P256' as const
const root = await createAuthority(ctx, admin, {
  ...{ name: 'root', kind: 'root', keyAlgorithm, subject: { commonName: 'Own root' } },
})
for (const name of ['shop', 'blog']) {
  const domains = [`${name}.test`]
  await createTenant(ctx, admin, { name, domains, defaultAuthority: 'root' })
}

type Pair = { readonly id: string; readonly cert: string; readonly key: string }

function pairIn(text: string) {
  const [key = ''] = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----/.exec(text) ?? []
  const [cert = ''] =
    /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(text) ?? []
  return { cert, key }
}

async function issued(tenant: string, asked: object): Promise<Pair> {
  const at = `/v1/tenants/${tenant}/certificates`
  const order = { keyAlgorithm, validityDays: 10, ...asked }
  const { body } = await http.post(at).send(order).expect(201)
  const { text } = await http.get(`${at}/${body.id}/bundle?privateKey=true`).expect(200)
  return { id: body.id, ...pairIn(text) }
}

const client = (tenant: string, commonName: string) =>
  issued(tenant, { profile: 'client', subject: { commonName } })

const folder = mkdtempSync(join(tmpdir(), 'gatesmith-tls-'))
after(() => rmSync(folder, { recursive: true }))
const own = await issued('shop', { profile: 'server', dnsNames: ['api.shop.test'] })
for (const name of ['cert', 'key'] as const) writeFileSync(join(folder, name), own[name])
const [port = 0] = await freePorts(1)
const files = { cert: join(folder, 'cert'), key: join(folder, 'key') }
after(await openTls(api.server, ctx, { port, ...files }))

type Asked = {
  readonly pair?: Omit<Pair, 'id'>
  readonly headers?: Readonly<Record<string, string>>
  readonly agent?: Agent
  readonly path?: string
}

type Answer = { readonly status: number | undefined; readonly body: Record<string, unknown> }

function answerOf(send: typeof tlsRequest, to: string, options: RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    send(to, options, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }))
    })
      .on('error', reject)
      .end()
  })
}

function ask({ pair, headers = {}, agent, path = '/v1/whoami' }: Asked): Promise<Answer> {
  const keys = pair ? { cert: pair.cert, key: pair.key } : {}
  const trust = { ca: root.pem, servername: 'api.shop.test', agent: agent ?? false } as const
  return answerOf(tlsRequest, `https://127.0.0.1:${port}${path}`, { headers, ...keys, ...trust })
}

/** Without TLS, with a certificate in the header, from the proxy or from elsewhere. */
function told(certificate: string, localAddress = '127.0.0.1'): Promise<Answer> {
  const headers = { 'client-cert': certificate }
  return answerOf(plainRequest, `${url}/v1/whoami`, { headers, localAddress })
}

const binding = '/v1/tenants/shop/api-keys:certificate'
const ci = await client('shop', 'ci')
const { body: bound } = await http
  .post(binding)
  .send({ name: 'ci', role: 'operator', scopes: ['hosts:read'], certificate: { commonName: 'ci' } })
  .expect(201)

test('who shows a client certificate over TLS is the API key that is bound to it', async () => {
  assert.deepEqual(
    [bound.certificate, bound.prefix, bound.token],
    [{ commonName: 'ci' }, null, undefined],
  )
  const { status, body } = await ask({ pair: ci })
  assert.equal(status, 200)
  assert.deepEqual(
    [body.kind, body.id, body.name, body.role, body.tenant, body.scopes],
    ['api-key', bound.id, 'ci', 'operator', 'shop', ['hosts:read']],
  )
  const { notAfter } = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: ci.id } })
  assert.equal(body.expiresAt, notAfter.toISOString())
  assert.equal((await ask({ pair: ci, path: '/v1/tenants/shop/hosts' })).status, 200)
  assert.equal((await ask({ pair: ci, path: '/v1/tenants/blog/hosts' })).status, 404)
  assert.equal((await ask({ pair: ci, path: '/v1/tenants/shop/certificates' })).status, 403)
  const { body: keys } = await http.get('/v1/tenants/shop/api-keys?name=ci').expect(200)
  assert.equal(keys.items[0].certificate.commonName, 'ci')
  // The narrowest of several that fit.
  const fingerprintSha256 = new X509Certificate(ci.cert).fingerprint256
    .replaceAll(':', '')
    .toLowerCase()
  const one = { name: 'one', role: 'viewer', certificate: { fingerprintSha256 } }
  const { body: narrow } = await http.post(binding).send(one).expect(201)
  assert.equal((await ask({ pair: ci })).body.name, 'one')
  await http.delete(`/v1/tenants/shop/api-keys/${narrow.id}`).expect(204)
  assert.equal((await ask({ pair: ci })).body.name, 'ci')
})

test('a certificate that is bound to nothing, another tenant’s, or not ours opens nothing', async () => {
  const strange = openssl([
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-noenc',
    '-subj',
    '/CN=ci',
    '-days',
    '2',
    '-keyout',
    '-',
  ])
  const pairs = {
    'made elsewhere': pairIn(strange),
    'of another tenant': await client('blog', 'ci'),
    'with another name': await client('shop', 'cd'),
    'of a server': { cert: own.cert, key: own.key },
  }
  for (const [what, pair] of Object.entries(pairs)) {
    const { status, body } = await ask({ pair })
    assert.equal(status, 401, what)
    assert.match(String(body.type), /credentials-refused$/, what)
  }
  assert.match(String((await ask({})).body.type), /credentials-missing$/)
  // What is sent beside it counts, and nothing else.
  const token = await tokenFor(ctx, 'shop', 'viewer')
  const both = await ask({ pair: ci, headers: { authorization: `Bearer ${token}` } })
  assert.equal(both.body.role, 'viewer')
  assert.equal((await ask({ pair: ci, headers: { authorization: 'Bearer x' } })).status, 401)
  assert.equal((await ask({ pair: ci, headers: { authorization: 'Basic x' } })).status, 401)
})

test('a certificate that is revoked is refused at once, on a connection that is open too', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const pair = await client('shop', 'ci')
  assert.equal((await ask({ pair, agent })).status, 200)
  await http.post(`/v1/tenants/shop/certificates/${pair.id}/revoke`).send({}).expect(200)
  assert.equal((await ask({ pair, agent })).status, 401)
  agent.destroy()
  await http.post(`/v1/tenants/shop/api-keys/${bound.id}/rotate`).send({}).expect(422)
})

test('a header tells a certificate where a proxy that is trusted wrote it, and nowhere else', async () => {
  const der = new X509Certificate(ci.cert).raw.toString('base64')
  for (const form of [`:${der}:`, encodeURIComponent(ci.cert)]) {
    const { status, body } = await told(form, proxy)
    assert.deepEqual([status, body.name], [200, 'ci'])
    assert.match(String((await told(form)).body.type), /credentials-missing$/)
    const beside = await ask({ headers: { 'client-cert': form } })
    assert.match(String(beside.body.type), /credentials-missing$/)
  }
  for (const odd of [':x:', '%', `:${der}:, :${der}:`, der, 'a'.repeat(8000)]) {
    const { body } = await told(odd, proxy)
    assert.match(String(body.type), /credentials-refused$/, odd.slice(0, 20))
  }
  assert.match(String((await told('', proxy)).body.type), /credentials-missing$/)
})

test('what a binding may open, and to what it binds, is held to', async () => {
  const certificate = { dnsName: 'ci.shop.test' }
  const good = { name: 'other', role: 'viewer', certificate }
  await http
    .post(binding)
    .send({ ...good, role: 'admin' })
    .expect(422)
  await http
    .post(binding)
    .send({ ...good, certificate: {} })
    .expect(422)
  await http
    .post(binding)
    .send({ ...good, certificate: { commonName: 'a', uri: 'b' } })
    .expect(422)
  await http
    .post(binding)
    .send({ ...good, certificate: { commonName: 'ci' } })
    .expect(422)
  const operator = send(await tokenFor(ctx, 'shop', 'operator'))
  await operator.post(binding).send(good).expect(403)
  await http.post(binding).send(good).expect(201)
  const environment = {
    DATABASE_URL: 'postgres://a@b/c',
    GATESMITH_SEALING_KEY: Buffer.alloc(32).toString('base64'),
  }
  for (const more of [{ GATESMITH_CLIENT_CERT_HEADER: 'a' }, { GATESMITH_TLS_PORT: '1' }]) {
    assert.throws(() => readConfig({ ...environment, ...more }), SettingError)
  }
})

test('a certificate that has ended opens nothing', async () => {
  assert.equal((await ask({ pair: ci })).status, 200)
  shift = 10 * 86_400_000
  assert.equal((await ask({ pair: ci })).status, 401)
})
