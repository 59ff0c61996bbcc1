import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rootCertificates } from 'node:tls'
import type { HostSpec } from '../../../src/hosts/host.ts'
import { routeFaults } from '../../../src/hosts/request/routes.ts'
import type { AskedRoute, BackendTls } from '../../../src/hosts/route.ts'

const to = { service: 'web', namespace: 'test', port: 80 }
const other = { ...to, service: 'other' }

function fields(route: AskedRoute, more: Partial<HostSpec> = {}): readonly string[] {
  return all({ http: 'serve', routes: [route], ...more }).map((field) =>
    field.replace(/^\/routes\/0/, ''),
  )
}

function all(asked: Partial<HostSpec> & Pick<HostSpec, 'routes'>): readonly string[] {
  const faults = routeFaults(['www.example.com', 'example.com'], { clusters: ['one'], ...asked }, [
    'test',
  ])
  return faults.map(({ field }) => field)
}

test('what a gateway team asks of routes is not refused', () => {
  const rows: readonly AskedRoute[] = [
    { match: { regex: '/v[0-9]+/.*' }, to },
    { match: { methods: ['GET', 'HEAD'] }, to },
    {
      match: {
        headers: [
          { name: 'X-Canary', exact: 'yes' },
          { name: 'x-any', present: true },
        ],
      },
      to,
    },
    {
      match: {
        queryParams: [
          { name: 'v', prefix: '2' },
          { name: 'V', regex: '[0-9]+' },
        ],
      },
      to,
    },
    {
      to: [
        { ...to, weight: 90 },
        { ...other, weight: 10 },
      ],
    },
    {
      to: [
        { ...to, weight: 1 },
        { ...other, weight: 0 },
      ],
    },
    { to: [to] },
    { match: { prefix: '/api' }, to, rewrite: { path: '/', host: 'inner.example.org' } },
    { match: { prefix: '/api/' }, to, rewrite: { path: '/v2/' } },
    { match: { exact: '/api/' }, to, rewrite: { path: '/v2' } },
    { redirect: { host: 'www.example.org' } },
    { match: { exact: '/old' }, redirect: { path: '/new', code: 308 } },
    { match: { prefix: '/old' }, redirect: { path: '/new' } },
    { match: { port: 80 }, redirect: { scheme: 'https' } },
    { to, timeout: '15s', retries: { attempts: 3, perTryTimeout: '5s', retryOn: ['5xx', '503'] } },
    { to, retries: { attempts: 0 } },
    {
      to,
      requestHeaders: { set: [{ name: 'x-a', value: '100%' }], remove: ['cookie'] },
      responseHeaders: { add: [{ name: 'strict-transport-security', value: 'max-age=1' }] },
    },
    { to, cors: { allowOrigins: [{ exact: '*' }], allowMethods: ['GET'], maxAge: '24h' } },
    {
      to,
      cors: {
        allowOrigins: [
          { exact: 'https://shop.example.com:8443' },
          { prefix: 'https://shop.example.com:' },
          { regex: 'https://[a-z]+\\.example\\.com' },
        ],
        allowCredentials: true,
      },
    },
  ]
  for (const route of rows) assert.deepEqual(fields(route), [], JSON.stringify(route))
})

test('what Istio would refuse, or could not do as it is said, is refused with its field', () => {
  const set = (name: string) => ({ set: [{ name, value: 'x' }] })
  const rows: readonly (readonly [AskedRoute, ...string[]])[] = [
    [{ match: { prefix: '/', exact: '/' }, to }, '/match'],
    [{ match: { prefix: '/', regex: '/' }, to }, '/match'],
    [{ match: { regex: '/(?=a)' }, to }, '/match/regex'],
    [{ match: { headers: [{ name: 'a' }] }, to }, '/match/headers/0'],
    [{ match: { headers: [{ name: 'a', present: false }] }, to }, '/match/headers/0'],
    [{ match: { headers: [{ name: 'a', exact: 'x', prefix: 'x' }] }, to }, '/match/headers/0'],
    [{ match: { headers: [{ name: 'a', regex: '(' }] }, to }, '/match/headers/0/regex'],
    [{ match: { headers: [{ name: 'Host', exact: 'x' }] }, to }, '/match/headers/0/name'],
    [
      {
        match: {
          headers: [
            { name: 'a', exact: 'x' },
            { name: 'A', exact: 'y' },
          ],
        },
        to,
      },
      '/match/headers/1/name',
    ],
    [{ match: { queryParams: [{ name: 'a', regex: '[' }] }, to }, '/match/queryParams/0/regex'],
    [{}, '/to'],
    [{ to, redirect: { host: 'www.example.org' } }, '/redirect'],
    [{ to: { ...to, namespace: 'prod' } }, '/to/namespace'],
    [
      {
        to: [
          { ...to, weight: 1 },
          { ...to, namespace: 'prod', weight: 1 },
        ],
      },
      '/to/1/namespace',
    ],
    [{ to: [{ ...to, weight: 1 }, other] }, '/to/1/weight'],
    [
      {
        to: [
          { ...to, weight: 0 },
          { ...other, weight: 0 },
        ],
      },
      '/to',
    ],
    [
      {
        to: [
          { ...to, weight: 1 },
          { ...to, weight: 2 },
        ],
      },
      '/to/1',
    ],
    [{ to, rewrite: {} }, '/rewrite'],
    [{ match: { prefix: '/api/' }, to, rewrite: { path: '/v2' } }, '/rewrite/path'],
    [{ redirect: {} }, '/redirect'],
    [{ redirect: { code: 308 } }, '/redirect'],
    [{ redirect: { scheme: 'https' } }, '/redirect'],
    [{ redirect: { host: 'WWW.example.com', port: 443 } }, '/redirect'],
    [{ redirect: { host: 'example.com' } }, '/redirect'],
    [{ match: { prefix: '/a' }, redirect: { path: '/a/b?c' } }, '/redirect'],
    [{ redirect: { host: 'a.example' }, timeout: '1s' }, '/timeout'],
    [{ redirect: { host: 'a.example' }, rewrite: { path: '/' } }, '/rewrite'],
    [{ redirect: { host: 'a.example' }, retries: { attempts: 1 } }, '/retries'],
    [{ redirect: { host: 'a.example' }, requestHeaders: set('a') }, '/requestHeaders'],
    [{ redirect: { host: 'a.example' }, cors: { allowOrigins: [{ exact: '*' }] } }, '/cors'],
    [{ to, timeout: '61m' }, '/timeout'],
    [{ to, retries: { attempts: 1, perTryTimeout: '2h' } }, '/retries/perTryTimeout'],
    [{ to, retries: { attempts: 0, retryOn: ['5xx'] } }, '/retries'],
    [
      { to, timeout: '1s', retries: { attempts: 1, perTryTimeout: '1001ms' } },
      '/retries/perTryTimeout',
    ],
    [{ to, requestHeaders: {} }, '/requestHeaders'],
    [{ to, requestHeaders: set('Host') }, '/requestHeaders/set/0/name'],
    [{ to, responseHeaders: set('Connection') }, '/responseHeaders/set/0/name'],
    [{ to, requestHeaders: { remove: ['Transfer-Encoding'] } }, '/requestHeaders/remove/0'],
    [{ to, requestHeaders: { ...set('x-a'), remove: ['X-A'] } }, '/requestHeaders/remove/0'],
    [{ to, cors: { allowOrigins: [{}] } }, '/cors/allowOrigins/0'],
    [{ to, cors: { allowOrigins: [{ exact: 'https://a.example/' }] } }, '/cors/allowOrigins/0'],
    [{ to, cors: { allowOrigins: [{ exact: 'a.example' }] } }, '/cors/allowOrigins/0'],
    [{ to, cors: { allowOrigins: [{ regex: '(' }] } }, '/cors/allowOrigins/0/regex'],
    [
      { to, cors: { allowOrigins: [{ exact: '*' }], allowCredentials: true } },
      '/cors/allowOrigins/0',
    ],
    [
      { to, cors: { allowOrigins: [{ prefix: 'https://a.example' }], allowCredentials: true } },
      '/cors/allowOrigins/0',
    ],
    [
      { to, cors: { allowOrigins: [{ regex: 'https://a\\.example.*' }], allowCredentials: true } },
      '/cors/allowOrigins/0',
    ],
    [{ to, cors: { allowOrigins: [{ exact: '*' }], maxAge: '500ms' } }, '/cors/maxAge'],
    [{ to, cors: { allowOrigins: [{ exact: '*' }], maxAge: '25h' } }, '/cors/maxAge'],
  ]
  for (const [route, ...expected] of rows) {
    assert.deepEqual(fields(route), expected, JSON.stringify(route))
  }
})

test('what takes long to read is bounded in all routes together', () => {
  const regex = 'a'.repeat(1024)
  const many = (count: number) =>
    [...Array(count).keys()].map((n) => ({
      match: { prefix: `/${n}`, headers: [{ name: 'x', regex }] },
      to,
    }))
  assert.deepEqual(all({ routes: many(32) }), [])
  assert.deepEqual(all({ routes: many(33) }), ['/routes'])
  const caCertificates = `${rootCertificates[0]}\n`.repeat(16)
  const trusting = [...Array(20).keys()].map((n) => ({
    match: { prefix: `/${n}` },
    to: { ...to, tls: { mode: 'SIMPLE' as const, sni: 'web.internal', caCertificates } },
  }))
  assert.deepEqual(all({ routes: trusting }), ['/routes'])
})

test('whom a backend is held to is certificates, and nothing else', () => {
  const ca = `${rootCertificates[0]}\n`
  const tls = { mode: 'SIMPLE', sni: 'web.internal' } as const
  const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
  const spoilt = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  const rows: readonly (readonly [string | undefined, boolean])[] = [
    [undefined, true],
    [ca, true],
    [ca + ca, true],
    ['', false],
    ['no PEM', false],
    [key, false],
    [ca + key, false],
    [ca + spoilt, false],
    [ca.repeat(17), false],
  ]
  for (const [caCertificates, fine] of rows) {
    const one = {
      ...to,
      tls: { ...tls, ...(caCertificates === undefined ? {} : { caCertificates }) },
    }
    assert.deepEqual(fields({ to: one }), fine ? [] : ['/to/tls/caCertificates'], caCertificates)
  }
  const many = [{ ...to, weight: 1, tls: { ...tls, caCertificates: key } }]
  assert.deepEqual(fields({ to: many }), ['/to/0/tls/caCertificates'])
  const passed = { http: 'redirect', tls: { mode: 'PASSTHROUGH' } } as const
  assert.deepEqual(fields({ to: { ...to, tls } }, passed), ['/to'])
})

test('a gateway that shows a certificate is told which, and whom to trust', () => {
  const caCertificates = `${rootCertificates[0]}\n`
  const clientCertificate = '00000000-0000-7000-8000-000000000001'
  const rows: readonly (readonly [Partial<BackendTls>, ...string[]])[] = [
    [{ mode: 'MUTUAL', caCertificates, clientCertificate }],
    [{ mode: 'MUTUAL', clientCertificate }, '/to/tls/caCertificates'],
    [{ mode: 'MUTUAL', caCertificates }, '/to/tls/clientCertificate'],
    [{ mode: 'SIMPLE', clientCertificate }, '/to/tls/clientCertificate'],
  ]
  for (const [said, ...faults] of rows) {
    const tls = { mode: 'SIMPLE', sni: 'web.internal', ...said } as const
    assert.deepEqual(fields({ to: { ...to, tls } }), faults, JSON.stringify(said))
  }
})

test('a PASSTHROUGH host does nothing to requests that it does not see', () => {
  const tls = { mode: 'PASSTHROUGH' } as const
  const rows: readonly (readonly [AskedRoute, ...string[]])[] = [
    [{ match: { methods: ['GET'] }, to }, '/match'],
    [{ match: { regex: '/a' }, to }, '/match'],
    [{ to, timeout: '1s' }, '/timeout'],
    [{ to, rewrite: { path: '/' } }, '/rewrite'],
    [
      {
        to: [
          { ...to, weight: 1 },
          { ...other, weight: 1 },
        ],
      },
      '/to',
    ],
  ]
  for (const [route, ...expected] of rows) {
    assert.deepEqual(fields(route, { http: 'redirect', tls }), expected, JSON.stringify(route))
  }
})

test('two routes that match exactly the same are told from two that do not', () => {
  const header = { name: 'X-A', exact: '1' }
  const lower = { name: 'x-a', exact: '1' }
  const second = { name: 'x-b', present: true }
  const rows: readonly (readonly [AskedRoute['match'], AskedRoute['match'], boolean])[] = [
    [{ methods: ['GET', 'PUT'] }, { methods: ['PUT', 'GET'] }, true],
    [{ methods: ['GET'] }, { methods: ['PUT'] }, false],
    [{ headers: [header, second] }, { headers: [second, lower] }, true],
    [{ headers: [header] }, { headers: [{ ...header, exact: '2' }] }, false],
    [
      { queryParams: [{ name: 'a', exact: '1' }] },
      { queryParams: [{ name: 'A', exact: '1' }] },
      false,
    ],
    [{}, { prefix: '/' }, true],
    [{ regex: '/a' }, { exact: '/a' }, false],
  ]
  for (const [one, two, same] of rows) {
    const routes = [one, two].map((match) => ({ ...(match ? { match } : {}), to }))
    assert.deepEqual(all({ routes }), same ? ['/routes/1/match'] : [], JSON.stringify([one, two]))
  }
})
