import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import type { InjectOptions } from 'fastify'
import { buildServer } from '../../src/api/server.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import { openContext } from '../../src/core/context.ts'
import { openLogger } from '../../src/main/logger.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { tokenFor } from '../support/api.ts'
import { admin, openTestContext } from '../support/context.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'
import { openssl } from '../support/openssl.ts'

// Every kind of secret is sent to every route in every place, by who may and who may not, also while the
// database fails: the log holds none of them, nor a part of one.

const base = await openTestContext()
await createAuthority(base, admin, {
  name: 'house',
  kind: 'root',
  subject: { commonName: 'house' },
})
await createTenant(base, admin, { name: 'shop', domains: ['shop.test'] })
await createTenant(base, admin, { name: 'rival', domains: [] })

const lines: string[] = []
const log = openLogger('trace', { write: (line) => void lines.push(line) })
const ctx = openContext(base.config, log)
const api = await buildServer(ctx, log)
after(async () => {
  await api.close()
  await ctx.db.close()
})

const makeKey = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']
const key = openssl(makeKey)
const csr = openssl(['req', '-new', '-key', 'key.pem', '-subj', '/CN=a.shop.test'], {
  'key.pem': openssl(makeKey),
})
const random = () => randomBytes(18).toString('base64url')
const secrets = {
  token: await tokenFor(base, null),
  foreign: `gsm_${randomBytes(32).toString('base64url')}`,
  password: random(),
  passphrase: random(),
  store: randomBytes(60).toString('base64'),
  signing: `whsec_${randomBytes(24).toString('base64')}`,
  cluster: `eyJhbGciOiJSUzI1NiJ9.${random()}.${random()}`,
  session: `gsms_${randomBytes(32).toString('base64url')}`,
  code: `gsmc_${randomBytes(32).toString('base64url')}`,
  idempotency: random(),
  path: random(),
  key,
  csr,
}

/** The secret and each line of it, as they stand and as they are sent. */
const forms = Object.entries(secrets).flatMap(([name, secret]) =>
  [...secret.split('\n').filter((line) => line.length > 12 && !line.startsWith('---')), secret]
    .flatMap((each) => [
      each,
      encodeURIComponent(each),
      Buffer.from(each).toString('base64'),
      JSON.stringify(each).slice(1, -1),
    ])
    .map((form) => ({ name, form })),
)

function searched(): void {
  const text = lines.join('')
  for (const { name, form } of forms) assert.ok(!text.includes(form), `the log holds ${name}`)
}

const kubeconfig = deadKubeconfig(secrets.cluster)
const url = `https://user:${secrets.password}@127.0.0.1:1/${secrets.path}`
const everything = {
  name: secrets.path,
  token: secrets.cluster,
  kubeconfig,
  privateKey: key,
  certificate: key,
  pkcs12: secrets.store,
  passphrase: secrets.passphrase,
  csr,
  url,
  secret: secrets.signing,
  password: secrets.password,
  query: `{ tenants(first: 1) { x${'y'} } } # ${secrets.token}`,
}

const document: { paths: Record<string, Record<string, unknown>> } = JSON.parse(
  readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'),
)
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.keys(methods).flatMap((method) =>
    /^(get|put|post|patch|delete)$/.test(method) ? [{ path, method: method.toUpperCase() }] : [],
  ),
)

/** The operation with `value` in every place of its path, and secrets wherever a client can put one. */
function asked({ path, method }: (typeof operations)[number], value: string, token: string) {
  // A tenant that is taken away is another one.
  const tenant = path.endsWith('{tenant}') ? 'rival' : 'shop'
  const place = path.replace('{tenant}', tenant).replaceAll(/\{\w+\}/g, encodeURIComponent(value))
  const query = new URLSearchParams({ token: secrets.token, access_token: secrets.cluster })
  return {
    method: method as NonNullable<InjectOptions['method']>,
    url: `${place}?${value === secrets.token ? query : ''}`,
    headers: {
      authorization: token,
      cookie: `session=${secrets.password}; gatesmith-console=${secrets.session}`,
      'x-csrf-token': secrets.path,
      'x-api-key': secrets.token,
      'idempotency-key': secrets.idempotency,
      'user-agent': secrets.path,
      referer: url,
      ...(value === secrets.token ? { 'if-match': `"${secrets.path}"` } : {}),
      'x-forwarded-for': secrets.password,
    },
    ...(method === 'GET' || method === 'DELETE' ? {} : { payload: everything }),
  } satisfies InjectOptions
}

test('whatever is sent to any route, by anybody, the log holds no secret, and says who was refused and why', async () => {
  const bearers = [
    `Bearer ${secrets.token}`,
    `Bearer ${secrets.foreign}`,
    `Basic ${Buffer.from(`calendar:${secrets.token}`).toString('base64')}`,
    secrets.token,
  ]
  assert.ok(operations.length > 90)
  for (const operation of operations) {
    for (const bearer of bearers) {
      for (const value of ['none', secrets.token]) {
        await api.inject(asked(operation, value, bearer))
      }
    }
  }
  for (const path of [`/${secrets.token}`, `/v1/${secrets.path}`, '/livez', '/readyz', '/docs']) {
    await api.inject({ url: `${path}?token=${secrets.token}` })
  }
  const browser = { cookie: `gatesmith-console=${secrets.session}` }
  const proofs = [{ apiKey: secrets.foreign }, { apiKey: secrets.token }, { code: secrets.code }]
  for (const payload of [...proofs, everything]) {
    await api.inject({ method: 'POST', url: '/console/session', headers: browser, payload })
  }
  for (const method of ['GET', 'DELETE', 'POST'] as const) {
    for (const path of ['/console/session', '/v1/tenants', `/console/${secrets.path}`]) {
      await api.inject({ method, url: `${path}?code=${secrets.code}`, headers: browser })
    }
  }
  searched()
  const viewer = await tokenFor(base, 'shop', 'viewer')
  await api.inject({ url: '/v1/audit-events', headers: { authorization: `Bearer ${viewer}` } })
  const { reqId, actor, reason, ...facts } = JSON.parse(lines.at(-1) ?? '')
  assert.match(reqId, /^[0-9a-f-]{36}$/)
  assert.equal(actor.role, 'viewer')
  assert.match(reason, /read-audit needs the role admin or auditor/)
  assert.equal(facts.problem, 'forbidden')
  assert.deepEqual([facts.method, facts.route, facts.status], ['GET', '/v1/audit-events', 403])
})

test('what is made of secrets, and answers that have some, leave none in the log', async () => {
  const headers = { authorization: `Bearer ${secrets.token}` }
  const post = async (to: string, payload: object, method: 'POST' | 'PUT' = 'POST') => {
    const answer = await api.inject({ method, url: `/v1${to}`, headers, payload })
    assert.ok(answer.statusCode < 300, answer.body)
    return answer.json()
  }
  const made = await post('/tenants/shop/api-keys', { name: 'ci', role: 'admin' })
  const root = openssl(['req', '-x509', '-key', 'key.pem', '-subj', '/CN=e', '-days', '90'], {
    'key.pem': key,
  })
  await post('/authorities/import', { name: 'elsewhere', certificate: root, privateKey: key })
  await post('/clusters', { name: 'one', kubeconfig, ingress: { address: '127.0.0.1:1' } })
  const leaf = { profile: 'server', authority: 'house', dnsNames: ['a.shop.test'] }
  await post('/tenants/shop/certificates', { ...leaf, csr })
  const { id } = await post('/tenants/shop/certificates', leaf)
  const bundle = await api.inject({
    url: `/v1/tenants/shop/certificates/${id}/bundle?privateKey=true`,
    headers,
  })
  const slack = { kind: 'slack', url: `https://hooks.slack.test/services/${secrets.path}` }
  await api.inject({ method: 'PUT', url: '/v1/tenants/shop/notices/ops', headers, payload: slack })
  for (const secret of [
    made.token,
    ...bundle.body.split('\n').filter((each) => each.length > 60),
  ]) {
    assert.ok(!lines.join('').includes(secret))
  }
  searched()
})

test('what fails in the midst of it is told without what it was about', async () => {
  const tables = [
    'authority',
    'cluster',
    'certificate',
    'host',
    'receiver',
    'idempotency_key',
    'event',
  ]
  for (const table of tables) {
    await base.db.statement(`alter table "${table}" rename to "${table}_away"`, [])
  }
  const before = lines.length
  for (const operation of operations) {
    await api.inject(asked(operation, 'house', `Bearer ${secrets.token}`))
  }
  const failed = lines.slice(before).filter((line) => line.includes('request failed'))
  assert.ok(failed.length > 20, `${failed.length} failed`)
  searched()
})

test('what looks like a secret of ours is withheld, whoever logs it', () => {
  for (const secret of Object.values(secrets)) {
    if (secret === csr) continue
    log.error({ err: new Error(`no: ${secret}`), url, secret: `Bearer ${secret}` }, `x ${secret} x`)
  }
  const { token, signing, session, code } = secrets
  log.warn({ deep: { er: [{ a: token }, `${signing} and ${secrets.cluster}`] } }, key)
  const text = lines.slice(-Object.keys(secrets).length).join('')
  for (const part of [
    token,
    signing,
    session,
    code,
    secrets.cluster,
    ...key.split('\n').slice(1, -2),
  ]) {
    assert.ok(!text.includes(part), part)
  }
  assert.ok(text.split('\n').every((line) => line === '' || JSON.parse(line)))
})
