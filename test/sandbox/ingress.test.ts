import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import type { Fields, Json } from '../../sandbox/json.ts'
import { issue, type Pair, revoke } from './pki.ts'
import {
  gateway,
  get,
  getPlain,
  open,
  secret,
  startTestCluster,
  type TestCluster,
  to,
  virtualService,
} from './support.ts'

const everything = {
  http: [{ match: [{ uri: { prefix: '/' } }], route: to('httpbin', 80) }],
} as const

function https(host: string, mode: string, credentialName: string, more: Fields = {}): Json {
  const port = { number: 443, name: `https-${host.replaceAll(/[.*]/g, '-')}`, protocol: 'HTTPS' }
  return { port, hosts: [host], tls: { mode, credentialName, ...more } }
}

function pairData({ cert, key }: Pair): Record<string, string> {
  return { 'tls.crt': cert, 'tls.key': key }
}

describe('the sandbox ingress', () => {
  let cluster: TestCluster
  let root: Pair
  let server: (name: string) => Promise<Pair>

  before(async () => {
    cluster = await startTestCluster()
    root = await issue('example.com', 'root')
    server = (name) => issue(name, 'server', root)
  })
  after(() => cluster.stop())

  const ask = (host: string, path = '/status/200', options?: ConnectionOptions) =>
    get(cluster.sandbox.tlsPort, host, path, options)

  /** A host of its own: Secret, Gateway and VirtualService. */
  async function serve(
    host: string,
    mode: string,
    data: Record<string, string>,
    tls: Fields = {},
  ): Promise<void> {
    const name = host.replaceAll(/[.*]/g, '-').replace(/^-+/, 'any')
    await cluster.apply(secret(name, data))
    await cluster.apply(gateway(name, [https(host, mode, name, tls)]))
    await cluster.apply(virtualService(name, { hosts: [host], gateways: [name], ...everything }))
  }

  test('each host serves its own certificate by SNI, in any letters', async () => {
    const one = await server('one.example.com')
    const two = await server('two.example.com')
    await serve('one.example.com', 'SIMPLE', pairData(one))
    await serve('two.example.com', 'SIMPLE', pairData(two))
    const seen = await ask('one.example.com', '/status/418')
    assert.equal(seen.name, 'one.example.com')
    assert.equal(seen.status, 418)
    assert.match(seen.body, /teapot/)
    assert.equal((await ask('two.example.com')).name, 'two.example.com')
    assert.equal((await ask('TWO.Example.com')).name, 'two.example.com')
  })

  test('a name without a chain, and no name at all, are closed without a handshake', async () => {
    await assert.rejects(ask('nobody.example.com'))
    await assert.rejects(ask(''))
  })

  test('an exact host wins over a wildcard, and a longer wildcard over a shorter', async () => {
    for (const host of ['*.wild.example.com', '*.b.wild.example.com', 'c.b.wild.example.com']) {
      await serve(host, 'SIMPLE', pairData(await server(host)))
    }
    assert.equal((await ask('a.wild.example.com')).name, '*.wild.example.com')
    assert.equal((await ask('a.b.wild.example.com')).name, '*.b.wild.example.com')
    assert.equal((await ask('a.a.wild.example.com')).name, '*.wild.example.com')
    assert.equal((await ask('c.b.wild.example.com')).name, 'c.b.wild.example.com')
    await assert.rejects(ask('wild.example.com'))
  })

  test('a Secret outside the namespace of the gateway pod is not found: that host alone is reset', async () => {
    const pair = await server('astray.example.com')
    await cluster.apply(secret('astray', pairData(pair), 'test'))
    await cluster.apply(gateway('astray', [https('astray.example.com', 'SIMPLE', 'astray')]))
    await assert.rejects(ask('astray.example.com'), { code: 'ECONNRESET' })
    assert.equal((await ask('one.example.com')).status, 200)
    await cluster.apply(secret('astray', pairData(pair)))
    assert.equal((await ask('astray.example.com')).name, 'astray.example.com')
  })

  test('a new certificate is served at the next handshake while open connections stay', async () => {
    const first = await server('rotated.example.com')
    const second = await server('rotated.example.com')
    await serve('rotated.example.com', 'SIMPLE', pairData(first))
    const held = open(cluster.sandbox.tlsPort, 'rotated.example.com')
    await once(held, 'secureConnect')
    await cluster.apply(secret('rotated-example-com', pairData(second)))
    assert.equal((await ask('rotated.example.com')).serial.toLowerCase(), second.serial)
    held.write('GET /status/202 HTTP/1.1\r\nhost: rotated.example.com\r\nconnection: close\r\n\r\n')
    const [answered] = await once(held, 'data')
    assert.match(String(answered), /^HTTP\/1\.1 202/)
    held.destroy()
  })

  test('a spoilt or deleted Secret leaves the certificate before it in service, as Envoy does', async () => {
    const pair = await server('kept.example.com')
    await serve('kept.example.com', 'SIMPLE', pairData(pair))
    assert.equal((await ask('kept.example.com')).name, 'kept.example.com')
    await cluster.apply(secret('kept-example-com', { 'tls.crt': 'spoilt', 'tls.key': 'spoilt' }))
    assert.equal((await ask('kept.example.com')).name, 'kept.example.com')
    await cluster.remove(secret('kept-example-com', {}))
    assert.equal((await ask('kept.example.com')).name, 'kept.example.com')
  })

  test('a key that does not fit its certificate resets that host', async () => {
    const pair = await server('mismatch.example.com')
    const other = await server('mismatch.example.com')
    await serve('mismatch.example.com', 'SIMPLE', { 'tls.crt': pair.cert, 'tls.key': other.key })
    await assert.rejects(ask('mismatch.example.com'), { code: 'ECONNRESET' })
  })

  test('the keys of a Secret are looked up in istiod’s order', async () => {
    const old = await server('keys.example.com')
    const pair = await server('keys.example.com')
    await serve('keys.example.com', 'SIMPLE', { cert: pair.cert, key: pair.key, ...pairData(old) })
    assert.equal((await ask('keys.example.com')).serial.toLowerCase(), pair.serial)
  })

  describe('with client certificates', () => {
    let client: Pair
    let stranger: Pair
    let revoked: Pair

    before(async () => {
      client = await issue('client.example.com', 'client', root)
      revoked = await issue('revoked.example.com', 'client', root)
      stranger = await issue('client.example.com', 'client', await issue('example.com', 'root'))
    })

    test('MUTUAL serves who shows one of the host’s CA and refuses everybody else', async () => {
      const data = { ...pairData(await server('mutual.example.com')), 'ca.crt': root.cert }
      await serve('mutual.example.com', 'MUTUAL', data)
      const headers = await ask('mutual.example.com', '/headers', client)
      assert.match(headers.body, /X-Forwarded-Client-Cert.*CN=client\.example\.com/)
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        assert.equal(
          (await ask('mutual.example.com', '/status/200', { ...client, maxVersion })).status,
          200,
        )
        await assert.rejects(ask('mutual.example.com', '/status/200', { maxVersion }))
        await assert.rejects(ask('mutual.example.com', '/status/200', { ...stranger, maxVersion }))
      }
    })

    test('a client certificate on the revocation list is refused at the next handshake', async () => {
      const data = { ...pairData(await server('crl.example.com')), 'ca.crt': root.cert }
      await serve('crl.example.com', 'MUTUAL', data)
      assert.equal((await ask('crl.example.com', '/status/200', revoked)).status, 200)
      await cluster.apply(
        secret('crl-example-com', { ...data, 'ca.crl': await revoke(root, [revoked.serial]) }),
      )
      await assert.rejects(ask('crl.example.com', '/status/200', revoked))
      assert.equal((await ask('crl.example.com', '/status/200', client)).status, 200)
    })

    test('a bundle of CAs needs a list of each in the chain, concatenated', async () => {
      const intermediate = await issue('issuing.example.com', 'intermediate', root)
      const good = await issue('good.example.com', 'client', intermediate)
      const bad = await issue('bad.example.com', 'client', intermediate)
      const data = {
        ...pairData(await server('bundle.example.com')),
        'ca.crt': root.cert + intermediate.cert,
      }
      const lower = await revoke(intermediate, [bad.serial])
      await serve('bundle.example.com', 'MUTUAL', { ...data, 'ca.crl': lower })
      await assert.rejects(ask('bundle.example.com', '/status/200', good))
      const both = { ...data, 'ca.crl': (await revoke(root, [])) + lower }
      await cluster.apply(secret('bundle-example-com', both))
      assert.equal((await ask('bundle.example.com', '/status/200', good)).status, 200)
      await assert.rejects(ask('bundle.example.com', '/status/200', bad))
    })

    test('an intermediate alone is trust enough', async () => {
      const intermediate = await issue('partial.example.com', 'intermediate', root)
      const data = { ...pairData(await server('partial.example.com')), 'ca.crt': intermediate.cert }
      await serve('partial.example.com', 'MUTUAL', data)
      const good = await issue('good.example.com', 'client', intermediate)
      assert.equal((await ask('partial.example.com', '/status/200', good)).status, 200)
    })

    test('NAME-cacert is looked up before NAME, even when it is of no use', async () => {
      const other = await issue('other', 'root')
      const data = { ...pairData(await server('cacert.example.com')), 'ca.crt': other.cert }
      await serve('cacert.example.com', 'MUTUAL', data)
      await assert.rejects(ask('cacert.example.com', '/status/200', client))
      await cluster.apply(secret('cacert-example-com-cacert', { cacert: root.cert }))
      assert.equal((await ask('cacert.example.com', '/status/200', client)).status, 200)
      const useless = { ...pairData(await server('useless.example.com')), 'ca.crt': root.cert }
      await cluster.apply(secret('useless-example-com-cacert', { 'other-key': 'x' }))
      await serve('useless.example.com', 'MUTUAL', useless)
      await assert.rejects(ask('useless.example.com', '/status/200', client), {
        code: 'ECONNRESET',
      })
    })

    test('OPTIONAL_MUTUAL serves who shows none and refuses who shows a wrong one', async () => {
      const data = { ...pairData(await server('optional.example.com')), 'ca.crt': root.cert }
      await serve('optional.example.com', 'OPTIONAL_MUTUAL', data)
      assert.equal((await ask('optional.example.com')).status, 200)
      assert.equal((await ask('optional.example.com', '/status/200', client)).status, 200)
      await assert.rejects(ask('optional.example.com', '/status/200', stranger))
    })

    test('subjectAltNames narrow who is served', async () => {
      const data = { ...pairData(await server('narrow.example.com')), 'ca.crt': root.cert }
      await serve('narrow.example.com', 'MUTUAL', data, { subjectAltNames: ['client.example.com'] })
      assert.equal((await ask('narrow.example.com', '/status/200', client)).status, 200)
      await assert.rejects(ask('narrow.example.com', '/status/200', revoked))
    })
  })

  const versions: readonly (readonly [string, Fields, readonly string[]])[] = [
    ['none set', {}, ['TLSv1.2', 'TLSv1.3']],
    ['min 1.3', { minProtocolVersion: 'TLSV1_3' }, ['TLSv1.3']],
    ['max 1.2', { maxProtocolVersion: 'TLSV1_2' }, ['TLSv1.2']],
    [
      'auto',
      { minProtocolVersion: 'TLS_AUTO', maxProtocolVersion: 'TLS_AUTO' },
      ['TLSv1.2', 'TLSv1.3'],
    ],
  ]
  for (const [title, tls, served] of versions) {
    test(`versions with ${title}: ${served.join(' and ')}`, async () => {
      const host = `${title.replaceAll(/[ .]/g, '-')}.versions.example.com`
      await serve(host, 'SIMPLE', pairData(await server(host)), tls)
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const only = { minVersion: version, maxVersion: version }
        if (served.includes(version)) assert.equal((await ask(host, '/', only)).protocol, version)
        else await assert.rejects(ask(host, '/', only))
      }
    })
  }

  test('PASSTHROUGH shows the backend’s certificate, from its own Secret, rotated too', async () => {
    const host = 'passthrough.example.com'
    const port = { number: 443, name: 'tls', protocol: 'TLS' }
    await cluster.apply(gateway('pass', [{ port, hosts: [host], tls: { mode: 'PASSTHROUGH' } }]))
    await assert.rejects(ask(host))
    await cluster.apply(
      virtualService('pass', {
        hosts: [host],
        gateways: ['pass'],
        tls: [{ match: [{ port: 443, sniHosts: [host] }], route: to('nginx-service', 443) }],
      }),
    )
    assert.equal((await ask(host, '/')).name, 'nginx of the Gatesmith sandbox')
    for (const round of [1, 2]) {
      const pair = await server(host)
      await cluster.apply(secret(`round-${round}`, pairData(pair), 'test', 'kubernetes.io/tls'))
      const seen = await ask(host, '/')
      assert.equal(seen.serial.toLowerCase(), pair.serial)
      assert.match(seen.body, /Welcome to nginx!/)
    }
  })

  test('the plain port routes by Host, with or without a port, redirects where asked, and 404s', async () => {
    const port = { number: 80, name: 'http', protocol: 'HTTP' }
    const redirected = { ...port, name: 'redirected' }
    await cluster.apply(
      gateway('plain', [
        { port, hosts: ['plain.example.com'] },
        { port: redirected, hosts: ['secure.example.com'], tls: { httpsRedirect: true } },
      ]),
    )
    await cluster.apply(
      virtualService('plain', {
        hosts: ['plain.example.com'],
        gateways: ['plain'],
        http: [
          { match: [{ uri: { exact: '/hello' } }], route: to('helloworld', 5000) },
          {
            match: [{ uri: { prefix: '/status/' } }],
            route: to('httpbin.test.svc.cluster.local', 80),
          },
          { match: [{ uri: { prefix: '/gone' } }], route: to('nothing', 80) },
          { match: [{ uri: { prefix: '/port' } }], route: to('httpbin', 81) },
          { match: [{ uri: { prefix: '/half' } }], route: to('httpbin.test', 80) },
        ],
      }),
    )
    const { plainPort } = cluster.sandbox
    const rows: readonly (readonly [string, string, number])[] = [
      ['plain.example.com', '/hello', 200],
      ['plain.example.com:8080', '/hello', 200],
      ['Plain.Example.Com', '/hello', 200],
      ['plain.example.com', '/hello?x=1', 200],
      ['plain.example.com', '/hello/', 404],
      ['plain.example.com', '/HELLO', 404],
      ['plain.example.com', '/status/201', 201],
      ['plain.example.com', '/', 404],
      ['other.example.com', '/hello', 404],
      ['plain.example.com', '/gone', 503],
      ['plain.example.com', '/port', 503],
      ['plain.example.com', '/half', 503],
    ]
    for (const [host, path, status] of rows) {
      assert.equal((await getPlain(plainPort, host, path)).status, status, `${host}${path}`)
    }
    const moved = await getPlain(plainPort, 'secure.example.com', '/a?b=c')
    assert.deepEqual([moved.status, moved.location], [301, 'https://secure.example.com/a?b=c'])
  })

  test('a Service without a workload behind it has no healthy upstream', async () => {
    const metadata = { name: 'empty', namespace: 'test' }
    const spec = { selector: { app: 'nobody' }, ports: [{ port: 80 }] }
    await cluster.apply({ apiVersion: 'v1', kind: 'Service', metadata, spec })
    const port = { number: 80, name: 'http', protocol: 'HTTP' }
    await cluster.apply(gateway('empty', [{ port, hosts: ['empty.example.com'] }]))
    const http = [{ route: to('empty', 80) }]
    await cluster.apply(
      virtualService('empty', { hosts: ['empty.example.com'], gateways: ['empty'], http }),
    )
    const seen = await getPlain(cluster.sandbox.plainPort, 'empty.example.com', '/')
    assert.deepEqual([seen.status, seen.body], [503, 'no healthy upstream'])
  })

  test('what is no TLS is reset on the TLS port', async () => {
    const socket = connect(cluster.sandbox.tlsPort, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: one.example.com\r\n\r\n')
    const [error] = await once(socket, 'error')
    assert.match(String(error), /ECONNRESET/)
  })

  test('a rejected listener keeps what it had before', async () => {
    await serve('before.example.com', 'SIMPLE', pairData(await server('before.example.com')))
    const a = gateway('twin-a', [https('test/twin.example.com', 'SIMPLE', 'one-example-com')])
    const b = gateway('twin-b', [https('twin.example.com', 'SIMPLE', 'one-example-com')])
    await cluster.apply(a)
    await cluster.apply(b)
    assert.equal((await ask('before.example.com')).status, 200)
    await cluster.apply(secret('after', pairData(await server('after.example.com'))))
    await cluster.apply(gateway('after', [https('after.example.com', 'SIMPLE', 'after')]))
    await assert.rejects(ask('after.example.com'))
    assert.ok(cluster.log.some((line) => line.includes('multiple filter chains')))
    await cluster.remove(b)
    assert.equal((await ask('after.example.com')).name, 'after.example.com')
  })
})
