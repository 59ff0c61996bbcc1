import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../src/clusters/kubernetes/kube.ts'
import { issue, type Pair, revoke } from './pki.ts'
import { startTestCluster } from './support.ts'

// What a client sees of an ingress: TLS, protocol, and how paths are read. One table for Envoy and for the
// sandbox. GATESMITH_TEST_KUBECONFIG and GATESMITH_TEST_INGRESS name a real cluster, as for the end-to-end
// cases; without them it is the sandbox. What Envoy 1.40 under Istio 1.31 was seen to do is what is expected.

const { GATESMITH_TEST_KUBECONFIG: kubeconfigPath, GATESMITH_TEST_INGRESS: ingress } = process.env
const run = randomUUID().slice(0, 8)
const namespace = 'istio-system'
const world = await openWorld()
const { kube, port } = world

async function openWorld() {
  if (kubeconfigPath !== undefined && ingress !== undefined) {
    const kubeconfig = await readFile(kubeconfigPath, 'utf8')
    const stop = () => Promise.resolve()
    return { kube: connect(kubeconfig), port: Number(ingress.split(':').at(-1)), stop }
  }
  const cluster = await startTestCluster()
  const kube = connect(cluster.sandbox.kubeconfig)
  return { kube, port: cluster.sandbox.tlsPort, stop: cluster.stop }
}

const names = {
  open: `open-${run}.example.com`,
  mutual: `mutual-${run}.example.com`,
  named: `named-${run}.example.com`,
}
const root = await issue('example.com', 'root')
const stranger = await issue('client', 'client', await issue('other', 'root'))
const [good, gone] = [await issue('good', 'client', root), await issue('gone', 'client', root)]
const modern = await issue('modern', 'client', root, 'ED25519')
const server = await issue('as-a-client', 'server', root)

const base64 = (text: string) => Buffer.from(text).toString('base64')
const metadata = (name: string) => ({ name: `${name}-${run}`, namespace })

function secret(name: string, data: Readonly<Record<string, string>>): KubeObject {
  const encoded = Object.entries(data).map(([key, value]) => [key, base64(value)])
  return {
    ...kinds.secret,
    metadata: metadata(name),
    type: 'Opaque',
    data: Object.fromEntries(encoded),
  }
}

const host = (name: string, tls: object) => ({
  port: { number: 443, name: `https-${name.slice(0, 4)}-${run}`, protocol: 'HTTPS' },
  hosts: [name],
  tls,
})

const to = [{ destination: { host: 'httpbin.test.svc.cluster.local', port: { number: 80 } } }]
const pair = async (name: string) => {
  const { cert, key } = await issue(name, 'server', root)
  return { 'tls.crt': cert, 'tls.key': key }
}
const mutual = { mode: 'MUTUAL', credentialName: `mutual-${run}` }
const objects: readonly KubeObject[] = [
  secret('open', await pair(names.open)),
  secret('mutual', await pair(names.mutual)),
  {
    ...secret('', { 'ca.crt': root.cert, 'ca.crl': await revoke(root, [gone.serial]) }),
    metadata: { name: `mutual-${run}-cacert`, namespace },
  },
  {
    ...kinds.istioGateway,
    metadata: metadata('envoy'),
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [
        host(names.open, { mode: 'SIMPLE', credentialName: `open-${run}` }),
        host(names.mutual, mutual),
        host(names.named, { ...mutual, subjectAltNames: ['urn:none'] }),
      ],
    },
  },
  {
    ...kinds.istioVirtualService,
    metadata: metadata('envoy'),
    spec: {
      hosts: Object.values(names),
      gateways: [`${namespace}/envoy-${run}`],
      http: [
        { match: [{ uri: { exact: '/status/418' } }], route: to },
        { match: [{ uri: { prefix: '/anything' } }], route: to },
      ],
    },
  },
]
for (const object of objects) await kube.apply(object)
after(async () => {
  for (const { apiVersion, kind, metadata } of objects.toReversed()) {
    await kube.remove({ apiVersion, kind, namespace, name: metadata.name })
  }
  kube.close()
  await world.stop()
})

type Seen = string

/** Opens a TLS connection, sends `bytes`, and answers what comes back: the first line of an answer, or how the
 *  connection ended. */
function talk(options: ConnectionOptions, request: string): Promise<Seen> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
    const chunks: Buffer[] = []
    const done = (seen: Seen) => {
      resolve(seen)
      socket.destroy()
    }
    socket.setTimeout(60_000, () => done('silence'))
    socket.once('secureConnect', () => socket.write(request))
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      const text = Buffer.concat(chunks).toString('latin1')
      if (text.includes('\r\n\r\n')) done(text)
    })
    socket.once('end', () => done('end'))
    socket.once('error', (error) => done(errorOf(error)))
    socket.once('close', () => done('closed'))
  })
}

function errorOf(error: Error): Seen {
  const alert = /alert ([a-z ]+)/.exec(error.message.replace('tlsv13 ', '').replace('tlsv1 ', ''))
  const code = 'code' in error ? String(error.code) : ''
  return alert ? `alert ${alert[1]?.trim()}` : code || error.message
}

const get = (path: string, name: string) =>
  `GET ${path} HTTP/1.1\r\nhost: ${name}\r\nconnection: close\r\n\r\n`
const status = (seen: Seen) => /^HTTP\/1\.1 (\d+)/.exec(seen)?.[1] ?? seen

async function asClient(pair: Pair | undefined, more: ConnectionOptions = {}): Promise<Seen> {
  const shown = pair ? { cert: pair.cert, key: pair.key } : {}
  return status(
    await talk({ servername: names.mutual, ...shown, ...more }, get('/status/418', names.mutual)),
  )
}

for (let tries = 0; tries < 100; tries++) {
  const open = status(await talk({ servername: names.open }, get('/status/418', names.open)))
  if (open === '418' && (await asClient(good)) === '418' && (await asClient(gone)) !== '418') break
  await wait(200)
}

const v2: ConnectionOptions = { maxVersion: 'TLSv1.2' }
const isSandbox = kubeconfigPath === undefined
const clients = [
  ['a client of the authority', good, {}, '418'],
  ['a client of the authority, by TLS 1.2', good, v2, '418'],
  ['no certificate', undefined, {}, 'alert certificate required'],
  ['no certificate, by TLS 1.2', undefined, v2, 'alert handshake failure'],
  ['a revoked client', gone, {}, 'alert certificate revoked'],
  // Node cannot be told to send an alert before the handshake is over.
  ['a revoked client, by TLS 1.2', gone, v2, isSandbox ? 'end' : 'alert certificate revoked'],
  ['a client of another authority', stranger, {}, 'alert unknown ca'],
  ['a client with an Ed25519 key', modern, {}, 'alert certificate required'],
  ['a client with an Ed25519 key, by TLS 1.2', modern, v2, 'alert handshake failure'],
  ['a certificate for servers', server, {}, 'alert unsupported certificate'],
] as const
for (const [what, pair, options, expected] of clients) {
  test(`${what}: ${expected}`, async () => {
    assert.equal(await asClient(pair, options), expected)
  })
}

test('a client that bears none of the names of the server is told so', async () => {
  const seen = await asClient(good, { servername: names.named })
  assert.equal(seen, 'alert certificate unknown')
})

const paths = [
  ['/status/418', '418'],
  ['/./status/418', '418'],
  ['/x/../status/418', '418'],
  ['/../status/418', '418'],
  ['/%73tatus/%34%31%38', '418'],
  ['/x/%2e%2E/status/418', '418'],
  ['/status\\418', '418'],
  ['/anything/a/../../status/418', '418'],
  ['/status/418?a=/../b', '418'],
  ['/status%2f418', '404'],
  ['/status%5c418', '404'],
  ['//status/418', '404'],
  ['/status//418', '404'],
  ['/status/418/', '404'],
  ['/anything/..;/x', '404'],
  ['/..', '404'],
  ['http://other.example.com/status/418', '404'],
  ['/anything/%zz', '400'],
  ['/anything/%00', '400'],
  ['/anything/\u00e4', '400'],
  ['*', '400'],
  ['/anything/a%2fb%3b', '200 /anything/a%2fb%3b'],
  ['/anything/a/..;x=1/y', '200 /anything/y'],
  ['/anything/a..;/x', '200 /anything/a..;/x'],
  ['/anything/a/..', '200 /anything/'],
  ['/anything/...', '200 /anything/...'],
  ['/anything/%7e', '200 /anything/~'],
  ['/anything/a"b|c', '200 /anything/a%22b%7Cc'],
  ['/anything#fragment', '200 /anything'],
  ['/anything/?q=%zz', '200 /anything/?q=%zz'],
] as const
for (const [path, expected] of paths) {
  test(`${path} is read as Envoy reads it: ${expected}`, async () => {
    const answer = await talk({ servername: names.open }, get(path, names.open))
    const url = /"url":\s*"(?:https?:\/\/[^/"]*)?([^"]*)"/.exec(answer)?.[1]
    assert.equal(url === undefined ? status(answer) : `${status(answer)} ${url}`, expected)
  })
}

const protocols = [
  [undefined, false],
  [['http/1.1'], 'http/1.1'],
  [['h2'], 'h2'],
  [['http/1.1', 'h2'], 'h2'],
  [['http/1.0'], false],
] as const
for (const [offered, expected] of protocols) {
  test(`who offers ${offered ?? 'no protocol'} gets ${expected || 'none'}`, async () => {
    const options = offered ? { ALPNProtocols: [...offered] } : {}
    const client = { cert: good.cert, key: good.key }
    for (const more of [{ servername: names.open }, { servername: names.mutual, ...client }]) {
      assert.equal(await protocolOf({ ...options, ...more }), expected)
    }
  })
}

function protocolOf(options: ConnectionOptions): Promise<string | false | null> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      resolve(socket.alpnProtocol)
      socket.destroy()
    })
  })
}

test('HTTP/2 is served by the same routes, to the same clients', async () => {
  const as = ({ cert, key }: Pair) => ({ cert, key })
  const rows = [
    [names.open, {}, {}, '418'],
    [names.open, {}, { ':path': '/x/../status/418' }, '418'],
    [names.open, {}, { ':path': '/nothing' }, '404'],
    [names.open, {}, { ':authority': names.mutual }, '404'],
    [names.mutual, as(good), {}, '418'],
    [names.mutual, as(gone), {}, 'alert certificate revoked'],
    [names.mutual, {}, {}, 'alert certificate required'],
  ] as const
  for (const [servername, options, headers, expected] of rows) {
    const seen = await askHttp2({ servername, ...options }, headers)
    assert.equal(seen, expected, JSON.stringify([servername, Object.keys(options), headers]))
  }
})

function askHttp2(
  options: ConnectionOptions & { readonly servername: string },
  headers: Readonly<Record<string, string>>,
): Promise<Seen> {
  return new Promise((resolve) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, {
      rejectUnauthorized: false,
      ...options,
    })
    const done = (seen: Seen) => {
      resolve(seen)
      session.destroy()
    }
    session.once('error', (error) => done(errorOf(error)))
    session.once('close', () => done('closed'))
    const asked = { ':path': '/status/418', ':authority': options.servername, ...headers }
    const stream = session.request(asked)
    stream.once('response', (answer) => done(String(answer[':status'])))
    stream.once('error', (error) => done(errorOf(error)))
  })
}

test('what is not for this port is reset, and what is no request is refused', async () => {
  const open = { servername: names.open }
  const rows = [
    [await talk({ servername: 'nobody.example.org' }, ''), 'ECONNRESET'],
    [await talk({}, ''), 'ECONNRESET'],
    [await sent('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), 'ECONNRESET'],
    [await sent('0000000000000000'), 'ECONNRESET'],
    [await talk({ ...open, maxVersion: 'TLSv1.1', ...oldest }, ''), 'alert protocol version'],
    [status(await talk(open, 'NONSENSE\r\n\r\n')), '400'],
    [status(await talk(open, 'GET /status/418 HTTP/1.1\r\n\r\n')), '400'],
    [status(await talk(open, `GET / HTTP/1.0\r\nhost: ${names.open}\r\n\r\n`)), '426'],
    [status(await talk(open, get('/status/418', 'nobody.example.org'))), '404'],
    [status(await talk(open, get('/status/418', `${names.open.toUpperCase()}:8443`))), '418'],
  ] as const
  for (const [index, [seen, expected]] of rows.entries()) assert.equal(seen, expected, `${index}`)
})

const oldest: ConnectionOptions = { minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' }

/** How a connection ends on which these octets were sent. */
function sent(octets: string): Promise<Seen> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: '127.0.0.1', port }, () => socket.write(octets))
    socket.resume()
    socket.once('end', () => resolve('end'))
    socket.once('error', (error) => resolve(errorOf(error)))
  })
}
