import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { holds } from '../../sandbox/ingress/http/match.ts'
import type { Fields, Json } from '../../sandbox/json.ts'
import { gateway, startTestCluster, type TestCluster, to, virtualService } from './support.ts'

// What a route does that cannot be shown with the workloads of every cluster: test/e2e/rows/routes.ts has the rest.

const host = 'routes.example.com'

function at(path: string, more: Fields): Json {
  return { match: [{ uri: { prefix: path } }], route: to('httpbin', 80), ...more }
}

describe('the routes of the sandbox ingress', () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await startTestCluster()
    const port = { number: 80, name: 'http', protocol: 'HTTP' }
    await cluster.apply(gateway('routes', [{ port, hosts: [host] }]))
    const http = [
      at('/slow', { rewrite: { uri: '/delay/5' }, timeout: '100ms', retries: { attempts: 0 } }),
      at('/once', {
        rewrite: { uri: '/delay/5' },
        timeout: '5s',
        retries: { attempts: 1, perTryTimeout: '100ms', retryOn: '5xx' },
      }),
      at('/nowhere', { route: to('absent', 80) }),
      at('/direct', { directResponse: { status: 403, body: { string: 'no' } }, route: [] }),
      at('/', {}),
    ]
    await cluster.apply(virtualService('routes', { hosts: [host], gateways: ['routes'], http }))
  })
  after(() => cluster.stop())

  function ask(path: string, { method = 'GET', body = '', headers = {} } = {}) {
    const port = cluster.sandbox.plainPort
    return new Promise<{ status: number; body: string }>((resolve, reject) => {
      const all = { host, ...headers }
      const asked = request({ host: '127.0.0.1', port, path, method, agent: false, headers: all })
      asked.once('error', reject)
      asked.once('response', async (answer) => {
        const chunks: Buffer[] = []
        for await (const chunk of answer) chunks.push(chunk)
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
      })
      asked.end(body)
    })
  }

  // Waited for, both would be answered 200.
  test('what takes longer than its timeout is answered 504', async () => {
    assert.deepEqual(await ask('/slow'), { status: 504, body: 'upstream request timeout' })
  })

  test('each try has its own time, and only so many are made', async (t) => {
    const tries: unknown[] = []
    const seen = (message: unknown) => {
      const { request } = Object(message)
      if (request.url === '/delay/5') tries.push(request.headers['x-envoy-attempt-count'])
    }
    subscribe('http.server.request.start', seen)
    t.after(() => unsubscribe('http.server.request.start', seen))
    assert.equal((await ask('/once')).status, 504)
    assert.deepEqual(tries, ['1', '2'])
  })

  test('a route to what is not there is answered 503', async () => {
    assert.equal((await ask('/nowhere')).status, 503)
  })

  test('an answer of the gateway’s own needs no backend', async () => {
    assert.deepEqual(await ask('/direct'), { status: 403, body: 'no' })
  })

  test('bodies reach the backend, and answers of HEAD have none', async () => {
    const { body } = await ask('/anything', { method: 'POST', body: 'a body' })
    assert.match(body, /"data": "a body"/)
    assert.deepEqual(await ask('/headers', { method: 'HEAD' }), { status: 200, body: '' })
  })

  test('the backend hears of the client’s certificate from the gateway alone', async () => {
    const headers = { 'x-forwarded-client-cert': 'Hash=forged' }
    assert.doesNotMatch((await ask('/headers', { headers })).body, /forged/)
  })
})

test('a match holds as in Envoy', () => {
  const asked = {
    method: 'GET',
    url: '/a/B?q=1&r&q=2',
    secure: true,
    headers: { host: 'h.test', 'x-one': '1', 'x-two': ['1', '2'] },
  }
  const rows: readonly (readonly [match: Fields, holds: boolean])[] = [
    [{}, true],
    [{ uri: { exact: '/a/B' } }, true],
    [{ uri: { exact: '/a/b' } }, false],
    [{ uri: { exact: '/A/B' }, ignoreUriCase: true }, true],
    [{ uri: { regex: '/(?P<x>a)/[A-Z]' } }, true],
    [{ uri: { regex: '(?i)/A/b' } }, true],
    [{ uri: { regex: '/a' } }, false],
    [{ method: { regex: 'GET|HEAD' } }, true],
    [{ scheme: { exact: 'http' } }, false],
    [{ authority: { prefix: 'h.' } }, true],
    [{ headers: { 'X-One': { exact: '1' } } }, true],
    [{ headers: { 'x-two': { exact: '1,2' } } }, true],
    [{ headers: { 'x-three': {} } }, false],
    [{ withoutHeaders: { 'x-three': {} } }, true],
    [{ withoutHeaders: { 'x-one': { exact: '1' } } }, false],
    [{ queryParams: { q: { exact: '1' } } }, true],
    [{ queryParams: { q: { exact: '2' } } }, false],
    [{ queryParams: { r: {} } }, true],
    [{ queryParams: { s: {} } }, false],
    [{ sourceLabels: { app: 'a' } }, false],
  ]
  for (const [match, expected] of rows) {
    assert.equal(holds(match, asked), expected, JSON.stringify(match))
  }
})
