import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import type { HostSpec } from '../../../src/hosts/host.ts'
import { until } from '../../support/process.ts'
import { type Stage, serveSpec } from '../stage.ts'
import { askingSkip, openAsking } from './asking.ts'

const httpbin = { service: 'httpbin', namespace: 'test', port: 80 }
const nginx = { service: 'nginx-service', namespace: 'test', port: 80 }
const origin = 'https://shop.example.com'

/** One host with all that a route may say, each under a path of its own. */
const routes: HostSpec['routes'] = [
  { match: { prefix: '/' }, to: httpbin },
  { match: { exact: '/exact' }, to: nginx },
  { match: { regex: '/v[0-9]+/(a|b)' }, to: nginx },
  { match: { exact: '/methods', methods: ['POST', 'PUT'] }, to: nginx },
  { match: { exact: '/methods' }, redirect: { path: '/elsewhere' } },
  {
    match: {
      exact: '/canary',
      headers: [
        { name: 'X-Canary', exact: 'yes' },
        { name: 'x-any', present: true },
      ],
      queryParams: [
        { name: 'v', regex: '[0-9]+' },
        { name: 'w', present: true },
      ],
    },
    to: nginx,
  },
  {
    match: { exact: '/weights' },
    to: [
      { ...httpbin, weight: 50 },
      { ...nginx, weight: 50 },
      { ...nginx, port: 443, weight: 0 },
    ],
    rewrite: { path: '/headers' },
  },
  { match: { prefix: '/off' }, to: httpbin, rewrite: { path: '/', host: 'inner.example.org' } },
  { match: { prefix: '/go/' }, redirect: { host: 'other.example.com', path: '/there', code: 308 } },
  { match: { exact: '/port' }, redirect: { scheme: 'http', port: 8080 } },
  {
    match: { exact: '/changed' },
    to: httpbin,
    rewrite: { path: '/headers' },
    requestHeaders: {
      set: [{ name: 'X-Set', value: '100% %HOSTNAME%' }],
      add: [{ name: 'x-added', value: 'two' }],
      remove: ['x-gone'],
    },
    responseHeaders: {
      set: [{ name: 'x-out', value: 'a;b' }],
      remove: ['content-type'],
    },
  },
  {
    match: { exact: '/cors', methods: ['GET'], headers: [{ name: 'x-key', present: true }] },
    to: httpbin,
    rewrite: { path: '/headers' },
    cors: {
      allowOrigins: [{ exact: origin }, { regex: 'https://[a-z]+\\.example\\.org' }],
      allowMethods: ['GET'],
      allowHeaders: ['x-key'],
      exposeHeaders: ['x-total'],
      maxAge: '10m',
      allowCredentials: true,
    },
  },
  {
    match: { exact: '/retried' },
    to: httpbin,
    rewrite: { path: '/status/503' },
    retries: { attempts: 2, perTryTimeout: '5s', retryOn: ['5xx'] },
  },
]

type Sent = {
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}
type Got = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** What a route may say, each shown by what the ingress then answers. */
export function routeCases(stage: Stage): void {
  const { http, tlsPort, plainPort, address, folder, cluster } = stage
  const suffix = stage.names.simple.replace(/^[^.]*?((-[^.]+)?\.)/, '$1')
  const name = (host: string) => `${host}${suffix}`
  const skip = plainPort === undefined ? 'the plain port of the ingress is not told' : false

  async function put(host: string, spec: Omit<HostSpec, 'clusters'>): Promise<void> {
    await serveSpec(stage, name(host), spec)
  }

  async function send(host: string, sent: Sent, plainly = false): Promise<Got> {
    const { path, method = 'GET', headers = {} } = sent
    const ca = await readFile(join(folder, 'ca.crt'))
    const to = { host: address, path, method, agent: false, signal: AbortSignal.timeout(15_000) }
    const all = { ...headers, host: name(host) }
    const out = plainly
      ? plainRequest({ ...to, port: plainPort, headers: all })
      : request({ ...to, port: tlsPort, headers: all, servername: name(host), ca })
    return new Promise((resolve, reject) => {
      out.once('error', reject)
      out.once('response', async (answer) => {
        const chunks: Buffer[] = []
        for await (const chunk of answer) chunks.push(chunk)
        const body = Buffer.concat(chunks).toString()
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body })
      })
      out.end()
    })
  }

  const certificates = '/v1/tenants/example/certificates'
  async function order(asked: object): Promise<{ readonly id: string; readonly serial: string }> {
    const { body } = await http.post(certificates).send(asked).expect(201)
    return body
  }

  /** Whether TLS may be spoken to backends there, for this host: the right is asked for, and printed, once there is
   *  one that needs it. */
  async function mayOriginate(host: string, routes: HostSpec['routes']): Promise<boolean> {
    const url = `/v1/tenants/example/hosts/${name(host)}`
    await http
      .put(url)
      .send({ clusters: [cluster], routes })
      .expect(201)
    await stage.grant?.()
    const { body } = await http.post(`/v1/clusters/${cluster}/check`).expect(200)
    const checks: readonly { readonly subject?: string; readonly status: string }[] = body.checks
    const isGiven = checks.some(
      (each) => each.subject === 'TLS to backends' && each.status === 'ok',
    )
    if (!isGiven) await http.delete(url).expect(202)
    return isGiven
  }

  const ask = (path: string, more: Omit<Sent, 'path'> = {}) => send('routes', { path, ...more })
  const isNginx = ({ body }: Got) => body.includes('Welcome to nginx!')

  describe('R4 routes', () => {
    before(async () => {
      await put('routes', { http: 'serve', routes })
      // Istio pushes routes apart from listeners: the newest is there when all are.
      await until('the routes are there', async () => {
        const got = await ask('/go/x')
        return got.status === 308 ? true : undefined
      })
    })

    test('exact and regular paths are told from prefixes, whatever their order', async () => {
      for (const path of ['/exact', '/exact?q=1', '/v2/a', '/v10/b']) {
        assert.ok(isNginx(await ask(path)), path)
      }
      for (const path of ['/exact/', '/exactly', '/v2/ab', '/v/a', '/x/v2/a']) {
        assert.ok(!isNginx(await ask(path)), path)
      }
    })

    test('a route for some methods leaves the others to the next', async () => {
      assert.ok(isNginx(await ask('/methods', { method: 'POST' })))
      assert.equal((await ask('/methods')).status, 301)
    })

    test('all headers and parameters of a match have to be there', async () => {
      const both = { 'x-canary': 'yes', 'X-Any': 'thing' }
      assert.ok(isNginx(await ask('/canary?v=12&w', { headers: both })))
      const others = [
        ask('/canary?v=12&w'),
        ask('/canary?v=12&w', { headers: { ...both, 'x-canary': 'Yes' } }),
        ask('/canary?v=12', { headers: both }),
        ask('/canary?v=1x&w=', { headers: both }),
      ]
      for (const other of await Promise.all(others)) assert.ok(!isNginx(other))
    })

    test('several destinations have their shares, and one of weight 0 none', async () => {
      const got = await Promise.all(Array.from({ length: 60 }, () => ask('/weights')))
      assert.ok(got.every(({ status }) => status === 200))
      const share = got.filter(isNginx).length
      assert.ok(share > 10 && share < 50, `${share} of 60`)
    })

    test('a prefix is rewritten, and the Host that the backend gets', async () => {
      assert.equal((await ask('/off/status/418?q=1')).status, 418)
      const { body } = await ask('/off/anything/deep')
      assert.match(body, /inner\.example\.org/)
      assert.match(body, /[^/]\/anything\/deep"/)
    })

    test('a redirect says host, path, scheme, port and code, and keeps the query', async () => {
      const moved = await ask('/go/x?y=1')
      assert.equal(moved.status, 308)
      assert.equal(moved.headers.location, 'https://other.example.com/there?y=1')
      const port = await ask('/port')
      assert.equal(port.status, 301)
      assert.equal(port.headers.location, `http://${name('routes')}:8080/port`)
    })

    test('headers are set, added and removed on the way in and out', async () => {
      const { body, headers } = await ask('/changed', {
        headers: { 'x-gone': 'here', 'x-added': 'one', 'x-set': 'before' },
      })
      assert.match(body, /"X-Set":\s*\[?"100% %HOSTNAME%"/)
      assert.match(body, /"X-Added":\s*(\["one","two"\]|"one,\s*two")/)
      assert.doesNotMatch(body, /X-Gone/)
      assert.equal(headers['x-out'], 'a;b')
      assert.equal(headers['content-type'], undefined)
    })

    test('pages of an allowed origin may read, and are told so before they ask', async () => {
      const preflight = (from: string) =>
        ask('/cors', {
          method: 'OPTIONS',
          headers: { origin: from, 'access-control-request-method': 'GET' },
        })
      for (const from of [origin, 'https://any.example.org']) {
        const { status, headers } = await preflight(from)
        assert.equal(status, 200)
        assert.equal(headers['access-control-allow-origin'], from)
        assert.equal(headers['access-control-allow-methods'], 'GET')
        assert.equal(headers['access-control-allow-headers'], 'x-key')
        assert.equal(headers['access-control-max-age'], '600')
        assert.equal(headers['access-control-allow-credentials'], 'true')
      }
      const stranger = await preflight('https://shop.example.com.evil.example')
      assert.equal(stranger.headers['access-control-allow-origin'], undefined)
      const read = await ask('/cors', { headers: { origin, 'x-key': '1' } })
      assert.equal(read.status, 200)
      assert.equal(read.headers['access-control-allow-origin'], origin)
      assert.equal(read.headers['access-control-expose-headers'], 'x-total')
    })

    test('what fails is tried again, and answered as it last failed', async () => {
      assert.equal((await ask('/retried')).status, 503)
    })

    test('port 80 serves the same routes', { skip }, async () => {
      assert.ok(isNginx(await send('routes', { path: '/exact' }, true)))
    })

    test('every name of a host is served as the host is', async () => {
      const also = name('also')
      await put('named', { aliases: [also, `*.${name('deep')}`], routes: [{ to: httpbin }] })
      for (const host of ['named', 'also', 'x.deep']) {
        assert.equal((await send(host, { path: '/status/418' })).status, 418)
      }
    })

    test('the gateway speaks TLS to a backend, and only to the one that is meant', async (t) => {
      const caCertificates = await readFile(join(folder, 'ca.crt'), 'utf8')
      const tls = { mode: 'SIMPLE', sni: stage.names.through, caCertificates } as const
      const secured = { ...nginx, port: 443 }
      const wrong = { ...tls, subjectAltNames: ['somebody.example.org'] }
      const url = `/v1/tenants/example/hosts/${name('speaks')}`
      const routes = [
        { match: { prefix: '/right' }, to: { ...secured, tls } },
        { match: { prefix: '/wrong' }, to: { ...secured, tls: wrong } },
        { match: { prefix: '/plain' }, to: secured },
      ]
      if (!(await mayOriginate('speaks', routes))) {
        return t.skip('DestinationRules may not be written there')
      }
      await put('speaks', { routes })
      const got = async (path: string) => {
        const answer = await send('speaks', { path })
        return isNginx(answer) ? 'nginx' : answer.status
      }
      await until('the backend is reached', async () =>
        (await got('/right')) === 'nginx' ? true : undefined,
      )
      assert.equal(await got('/wrong'), 503)
      assert.ok([400, 502, 503].includes(Number(await got('/plain'))))
      await put('speaks', { routes: [{ to: httpbin }] })
      const { body: after } = await http.get(url).expect(200)
      const kinds = after.status.clusters[0].objects.map(({ kind }: { kind: string }) => kind)
      assert.ok(!kinds.includes('DestinationRule'))
    })

    test('the gateway shows a backend the client certificate that is named, and what takes its place', {
      skip: askingSkip(stage),
    }, async (t) => {
      const ca = await readFile(join(folder, 'ca.crt'), 'utf8')
      const sni = stage.names.through
      const served = await order({ profile: 'server', dnsNames: [sni] })
      const { text: pair } = await http
        .get(`${certificates}/${served.id}/bundle?privateKey=true`)
        .buffer()
        .expect(200)
      const to = await openAsking(t, stage, { pair, ca })
      const shown = await order({
        ...{ profile: 'client', subject: { commonName: 'gateway' }, autoRenew: true },
      })
      const tls = { mode: 'MUTUAL', sni, caCertificates: ca, clientCertificate: shown.id } as const
      const { clientCertificate: _, ...simple } = { ...tls, mode: 'SIMPLE' as const }
      const routes = [
        { match: { prefix: '/shows' }, to: { ...to, tls } },
        { match: { prefix: '/none' }, to: { ...to, tls: simple } },
      ]
      const url = `/v1/tenants/example/hosts/${name('shows')}`
      if (!(await mayOriginate('shows', routes))) {
        return t.skip('DestinationRules may not be written there')
      }
      await put('shows', { routes })
      const isShown = (serial: string) =>
        until(`${serial} is shown`, async () => {
          const { status, headers } = await send('shows', { path: '/shows' })
          return status === 200 && headers['x-ssl-client-serial'] === serial ? true : undefined
        })
      await isShown(shown.serial)
      assert.ok([400, 503].includes((await send('shows', { path: '/none' })).status))
      const renewed = await http.post(`${certificates}/${shown.id}/renew`).send({}).expect(201)
      await isShown(renewed.body.serial)
      // Names stay: a certificate that is renewed is a Secret that changes, and nothing else.
      const { body } = await http.get(url).expect(200)
      const { objects, warnings } = body.status.clusters[0]
      assert.equal(
        objects.filter(({ kind }: { kind: string }) => kind === 'DestinationRule').length,
        2,
      )
      assert.deepEqual(warnings, [])
      await put('shows', { routes: [{ to: httpbin }] })
    })

    test('port 80 redirects in each mode, whichever routes there are', { skip }, async () => {
      const to = (service: string, port: number) => ({ service, namespace: 'test', port })
      const hosts: Readonly<Record<string, Omit<HostSpec, 'clusters'>>> = {
        'only-tls': { routes: [{ match: { port: 443 }, to: httpbin }] },
        asks: { tls: { mode: 'MUTUAL' }, routes: [{ to: httpbin }] },
        hands: { tls: { mode: 'PASSTHROUGH' }, routes: [{ to: to('nginx-service', 443) }] },
      }
      for (const [host, spec] of Object.entries(hosts)) {
        await put(host, spec)
        const told = async () => {
          const got = await send(host, { path: '/a?b=c' }, true)
          return got.status === 301 ? got.headers.location : undefined
        }
        const location = await until(`${name(host)} redirects`, told)
        assert.equal(location.replace(/:\d+/, ''), `https://${name(host)}/a?b=c`)
      }
    })
  })
}
