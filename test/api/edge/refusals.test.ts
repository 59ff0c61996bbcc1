import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { test } from 'node:test'
import Type from 'typebox'
import Value from 'typebox/value'
import { createAuthority } from '../../../src/authorities/create.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { rawAnswer } from '../../support/raw.ts'

const { ctx, api, url, http } = await openTestApi()
await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'R' } })
await createTenant(ctx, admin, {
  name: 'example',
  domains: ['example.com'],
  defaultAuthority: 'root',
})
const token = await tokenFor(ctx, null)

/** Every route, as the OpenAPI document tells of it. */
const routes = Object.entries(api.swagger().paths ?? {}).flatMap(([path, methods]) =>
  Object.keys(methods ?? {}).map((method) => ({ path, method: method.toUpperCase() })),
)
const filled = (path: string, put = 'a') => path.replace(/\{[^}]+\}/g, encodeURIComponent(put))

function asked(method: string, path: string, ...headers: readonly string[]) {
  const lines = [`${method} ${path} HTTP/1.1`, 'host: x', ...headers]
  return rawAnswer(url, `${lines.join('\r\n')}\r\n\r\n`)
}

const bearer = `authorization: Bearer ${token}`

/** What every refusal promises. */
function isRefusal({ status, head, body }: Awaited<ReturnType<typeof asked>>, about: string) {
  assert.ok(status >= 400 && status < 500, `${about} → ${head}`)
  assert.match(head, /x-request-id: [0-9a-f-]{36}/i, `${about} → ${head}`)
  if (body !== '') assert.match(head, /content-type: application\/problem\+json/i, about)
}

const usual = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']
const unusual = METHODS.filter((each) => each !== 'CONNECT' && !usual.includes(each))

test('every method that a URL does not answer to is refused by 405 and Allow', async () => {
  assert.ok(routes.length > 40)
  const paths = [...new Set(routes.map((route) => route.path))]
  for (const [index, path] of paths.entries()) {
    const served = routes.filter((route) => route.path === path).map(({ method }) => method)
    // Over the paths all unusual ones have their turn.
    for (const method of [...usual, ...unusual.filter((_, turn) => turn % 8 === index % 8)]) {
      if (served.includes(method) || (method === 'HEAD' && served.includes('GET'))) continue
      const answer = await asked(method, filled(path))
      // What another pattern serves needs a token.
      if (answer.status === 401) continue
      isRefusal(answer, `${method} ${path}`)
      assert.equal(answer.status, 405, `${method} ${path}`)
      const [, allow = ''] = /^allow: (.*)$/im.exec(answer.head) ?? []
      for (const each of served) assert.ok(allow.split(', ').includes(each), `${path}: ${allow}`)
    }
  }
})

test('whatever the method, where nothing is served that is said, without reading a body', async () => {
  for (const method of METHODS.filter((each) => each !== 'CONNECT')) {
    const answer = await asked(method, '/nothing', 'content-length: 100000')
    isRefusal(answer, method)
    assert.equal(answer.status, 404, method)
  }
  isRefusal(await asked('CONNECT', 'example.com:443'), 'CONNECT')
})

const odd = [
  'a'.repeat(301),
  'a'.repeat(8_000),
  '\0',
  'a\0b',
  '../../etc/passwd',
  '%00',
  '\u{10ffff}',
  ' ',
  '🂡'.repeat(100),
  "' or 1=1 --",
]

const malformed = ['%ff', '%c0%80', '%ed%a0%80', '%zz', '%']

test('whatever stands in a path is answered, never by an error of ours', async () => {
  const named = routes.filter((route) => route.path.includes('{'))
  for (const [index, { path, method }] of named.entries()) {
    // Over the routes all have their turn, here and below.
    for (const put of odd.filter((_, turn) => turn % 3 === index % 3)) {
      const answer = await asked(method, filled(path, put), bearer)
      assert.ok(answer.status >= 200 && answer.status < 500, `${method} ${path} ${put}`)
      if (answer.status >= 400) isRefusal(answer, `${method} ${path}`)
    }
    for (const put of malformed.filter((_, turn) => turn % 3 === index % 3)) {
      isRefusal(await asked(method, path.replace(/\{[^}]+\}/g, put), bearer), `${path} ${put}`)
    }
  }
})

const moments = [
  ['0000-01-01T00:00:00Z', 422],
  ['0000-12-31T23:59:59Z', 422],
  ['0001-01-01T00:00:00+00:01', 422],
  ['0001-01-01T00:00:00Z', 200],
  ['2016-12-31T23:59:60Z', 422],
  ['2016-12-31T18:59:60-05:00', 422],
  ['2026-02-30T00:00:00Z', 422],
  ['2025-02-29T00:00:00Z', 422],
  ['2024-02-29T00:00:00Z', 200],
  ['2026-01-01T24:00:00Z', 422],
  ['2026-13-01T00:00:00Z', 422],
  ['2026-01-01T00:00:00', 422],
  ['2026-01-01', 422],
  ['2026-01-01T00:00:00.1234567891Z', 422],
  ['2026-01-01T00:00:00.123456789+02:00', 200],
  ['2026-01-01t00:00:00z', 200],
  ['9999-12-31T23:59:59Z', 200],
  ['9999-12-31T23:59:59-23:59', 422],
  ['10000-01-01T00:00:00Z', 422],
  ['+010000-01-01T00:00:00Z', 422],
  ['-000001-01-01T00:00:00Z', 422],
  ['275760-09-13T00:00:00Z', 422],
  ['infinity', 422],
  ['now', 422],
  ['1e400', 422],
] as const

test('a moment is one that can be kept, or is refused, wherever it is asked for', async () => {
  for (const [moment, status] of moments) {
    for (const field of ['from', 'to']) {
      const { body } = await http
        .get('/v1/audit-events')
        .query({ [field]: moment })
        .expect(status)
      if (status === 422) assert.match(body.violations[0].field, new RegExp(`${field}$`))
    }
    const graphql = await http
      .post('/graphql')
      .send({ query: `{ auditEvents(from: "${moment}") { nextCursor } }` })
    assert.equal(graphql.body.errors?.[0].extensions.status ?? 200, status, moment)
  }
  for (const [moment, status] of moments.filter(([, each]) => each === 422)) {
    const key = { name: 'late', role: 'viewer', expiresAt: moment }
    const { body } = await http.post('/v1/api-keys').send(key).expect(status)
    assert.equal(body.violations[0].field, '/expiresAt')
  }
})

const lists = [
  '/v1/tenants',
  '/v1/tenants/example/api-keys',
  '/v1/api-keys',
  '/v1/authorities',
  '/v1/blocked-keys',
  '/v1/certificates',
  '/v1/tenants/example/certificates',
  '/v1/clusters',
  '/v1/tenants/example/hosts',
  '/v1/audit-events',
]

const id = '019a0000-0000-7000-8000-000000000000'
const now = '2026-01-01T00:00:00.000Z'
const parts: readonly unknown[] = [
  '',
  '\0',
  'a\0b',
  '\ud800',
  'a',
  'a'.repeat(300),
  '0',
  '-1',
  '1e400',
  '99999999999999999999',
  '9223372036854775808',
  `${id}0`,
  `${id.slice(0, -1)}g`,
  id.replaceAll('-', ''),
  '------------------------------------',
  id,
  now,
  '0000-01-01T00:00:00.000Z',
  '+275760-09-13T00:00:00.000Z',
  '2026-02-30T00:00:00.000Z',
  '2016-12-31T23:59:60Z',
  'f'.repeat(64),
  'infinity',
  1,
  1e300,
  null,
  true,
  {},
  [],
]

const forged: readonly string[] = [
  ...parts.map((part) => [part]),
  ...parts.map((part) => [part, id]),
  ...parts.map((part) => [now, part]),
  ...parts.map((part) => [part, part]),
  [],
  [id, id, id],
  {},
  null,
  1,
  'text',
].map((key) => Buffer.from(JSON.stringify(key)).toString('base64url'))

test('a forged cursor is refused, or is one that could have been given out', async () => {
  const cursors = [...forged, 'a', '!', '\0', Buffer.from('["a"').toString('base64url')]
  for (const path of lists) {
    for (const cursor of cursors) {
      const { status, body } = await http.get(path).query({ cursor })
      assert.ok([200, 400, 422].includes(status), `${path} ${cursor} → ${JSON.stringify(body)}`)
    }
  }
})

test('a forged cursor is refused in GraphQL also, in a list within a list too', async () => {
  const query = `query ($after: String) {
    tenants(after: $after) { nextCursor }
    authorities(after: $after) { nextCursor }
    clusters(after: $after) { nextCursor }
    hosts(tenant: "example", after: $after) { nextCursor }
    certificates(after: $after) { nextCursor }
    auditEvents(after: $after) { nextCursor }
    tenant(name: "example") {
      hosts(after: $after) { nextCursor }
      certificates(after: $after) { nextCursor }
      clusters(after: $after) { nextCursor }
    }
  }`
  for (const after of forged) {
    const { body } = await http.post('/graphql').send({ query, variables: { after } })
    for (const { extensions } of body.errors ?? []) {
      assert.ok([400, 422].includes(extensions.status), `${after} → ${JSON.stringify(extensions)}`)
    }
  }
})

test('a condition that is not looked at is refused, not passed over', async () => {
  const rows = [
    ['POST', '/v1/tenants', 'if-match: *', 412],
    ['DELETE', '/v1/tenants/example', 'if-match: "1"', 412],
    ['DELETE', '/v1/tenants/example', 'if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT', 412],
    ['PUT', '/v1/tenants/example/hosts/a.example.com', 'if-modified-since: x', 412],
    ['GET', '/v1/tenants/example', 'if-match: "1"', 412],
    ['GET', '/v1/tenants/example', 'if-none-match: "1"', 200],
    ['GET', '/v1/tenants/example', 'range: bytes=0-1', 200],
    ['GET', '/pki/root/ca.pem', 'if-match: "1"', 412],
    ['GET', '/pki/root/crl', 'if-match: "no"', 412],
    ['GET', '/pki/root/crl', 'if-match: *', 200],
    ['GET', '/pki/root/crl', 'if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT', 412],
    ['POST', '/v1/tenants', 'content-encoding: gzip', 415],
    ['PUT', '/v1/tenants/example/hosts/a.example.com', 'content-range: bytes 0-1/2', 400],
    ['POST', '/v1/tenants', 'expect: 200-ok', 417],
    ['POST', '/v1/tenants', 'content-type: application/json; charset=utf-16', 415],
  ] as const
  for (const [method, path, header, status] of rows) {
    const length = method === 'GET' ? [] : ['content-length: 2']
    const lines = [`${method} ${path} HTTP/1.1`, 'host: x', bearer, header, ...length]
    const answer = await rawAnswer(url, `${lines.join('\r\n')}\r\n\r\n${length.length ? '{}' : ''}`)
    assert.equal(answer.status, status, `${method} ${path} ${header} → ${answer.head}`)
    assert.match(answer.head, /x-request-id/i)
  }
  const etag = /etag: (.*)/i.exec((await asked('GET', '/pki/root/crl')).head)?.[1] ?? ''
  assert.equal((await asked('GET', '/pki/root/crl', `if-match: ${etag}`)).status, 200)
})

test('what comes too late is told so, and what is too long by the limit that it breaks', async () => {
  const { requestTimeout, headersTimeout } = api.server
  api.server.requestTimeout = 300
  api.server.headersTimeout = 300
  try {
    for (const request of [
      'GET /livez HTTP/1.1\r\nhost: x\r\n',
      `POST /v1/tenants HTTP/1.1\r\nhost: x\r\n${bearer}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
    ]) {
      const late = await rawAnswer(url, request)
      isRefusal(late, request)
      assert.equal(late.status, 408, late.head)
      assert.match(late.body, /request-late/)
    }
  } finally {
    api.server.requestTimeout = requestTimeout
    api.server.headersTimeout = headersTimeout
  }
  const long = 'a'.repeat(60_000)
  const rows = [
    [`GET /${long} HTTP/1.1\r\nhost: x\r\n\r\n`, 414, 'url-too-long'],
    [`GET / HTTP/1.1\r\nhost: x\r\nx: ${long}\r\n\r\n`, 431, 'headers-too-large'],
    ['GET /livez HTTP/1.1\r\n\r\n', 400, 'request-malformed'],
    ['BREW / HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'request-malformed'],
    ['\u0016\u0003\u0001\r\n\r\n', 400, 'request-malformed'],
  ] as const
  for (const [request, status, type] of rows) {
    const answer = await rawAnswer(url, request)
    isRefusal(answer, request.slice(0, 100))
    assert.equal(answer.status, status, answer.head)
    assert.ok(answer.body.includes(`/problems/${type}`), answer.body)
  }
  for (const [path, limit] of [
    ['/v1/tenants', '512 KiB'],
    ['/v1/tenants/example/certificates:batch', '4096 KiB'],
    ['/graphql', '512 KiB'],
  ] as const) {
    const answer = await asked(
      'POST',
      path,
      bearer,
      'content-type: application/json',
      'content-length: 9000000',
    )
    assert.equal(answer.status, 413)
    assert.ok(answer.body.includes(limit), answer.body)
  }
})

test('a refusal says what is wrong and nothing else', async () => {
  const violations = async (method: 'post' | 'patch' | 'put', path: string, body: object) => {
    const answer = await http[method](path).send(body).expect(422)
    return answer.body.violations.map(({ field, message }: Record<string, string>) => [
      field,
      message,
    ])
  }
  assert.deepEqual(await violations('patch', '/v1/tenants/example', { defaultAuthority: 1 }), [
    ['/defaultAuthority', 'defaultAuthority must be of type string or null'],
  ])
  const [[field, message]] = await violations('patch', '/v1/tenants/example', {
    defaultAuthority: 'Not A Name',
  })
  assert.equal(field, '/defaultAuthority')
  assert.match(message, /must match pattern/)
  const rotate = await violations('post', '/v1/authorities/root/rotate', { deadlineDays: 'x' })
  assert.deepEqual(rotate, [['/deadlineDays', 'deadlineDays must be of type integer']])
  const authority = { name: 'a', kind: 'root', subject: {}, key: { pkcs11: { label: 1 } } }
  assert.deepEqual(await violations('post', '/v1/authorities', authority), [
    ['/key/pkcs11/label', 'label must be of type string'],
  ])
  const profiles = ['server', 'server']
  const policy = { policy: { profiles } }
  assert.deepEqual(await violations('patch', '/v1/tenants/example', policy), [
    ['/policy/profiles', 'profiles must NOT have duplicate items'],
  ])
  const routes = [{ to: [{ service: 'web', namespace: 'test', port: '80' }] }]
  const host = { routes, clusters: ['one'], annotations: { owner: 'me', 'a.b/c': 1 } }
  const wrong = await violations('put', '/v1/tenants/example/hosts/a.example.com', host)
  assert.deepEqual(
    wrong.map(([at = '', why = '']) => [at, why.split(';')[0]]),
    [
      ['/routes/0/to/0/port', 'port must be of type integer'],
      ['/annotations/owner', '"owner" is not a field here'],
      ['/annotations/a.b~1c', 'a.b~1c must be of type string'],
    ],
  )
})

const Parameters = Type.Array(
  Type.Object({
    in: Type.Optional(Type.String()),
    name: Type.Optional(Type.String()),
    schema: Type.Optional(Type.Object({ type: Type.Optional(Type.String()) })),
  }),
)
const Paths = Type.Record(
  Type.String(),
  Type.Record(Type.String(), Type.Object({ parameters: Type.Optional(Parameters) })),
)
const isPlain = (type: string | undefined) => type === 'integer' || type === 'boolean'
const oddNumbers = [
  '1e400',
  'Infinity',
  'NaN',
  '0x10',
  '%205',
  '5.0',
  '-0',
  '1e2',
  '',
  '9'.repeat(400),
]

test('a parameter that is to be a number or a truth value is one in plain digits or words', async () => {
  const paths = Value.Parse(Paths, api.swagger().paths)
  const parameters = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { parameters: own = [] }]) =>
      own
        .filter(({ in: place, schema }) => place === 'query' && isPlain(schema?.type))
        .map(({ name }) => ({ path, method: method.toUpperCase(), name })),
    ),
  )
  assert.ok(parameters.length > 8)
  for (const { path, method, name } of parameters) {
    for (const odd of oddNumbers) {
      const target = `${filled(path, 'root')}?${name}=${odd}`
      const answer = await asked(method, target, bearer)
      isRefusal(answer, `${method} ${target}`)
    }
  }
})

test('Host is said once', async () => {
  const answer = await asked('GET', '/livez', 'host: other')
  isRefusal(answer, 'two hosts')
  assert.equal(answer.status, 400)
})
