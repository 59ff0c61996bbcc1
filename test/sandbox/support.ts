import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingHttpHeaders, request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { type Sandbox, startCluster } from '../../sandbox/cluster.ts'
import { type Fields, fields, type Json, parseJson, text } from '../../sandbox/json.ts'

/** What the API server answered. */
export type Reply = {
  readonly status: number
  readonly body: Json
  readonly headers: IncomingHttpHeaders
}

/** A sandbox in a directory of its own, and hands on it. */
export type TestCluster = {
  readonly sandbox: Sandbox
  readonly directory: string
  readonly log: readonly string[]
  call(method: string, path: string, body?: Json, headers?: Record<string, string>): Promise<Reply>
  /** Server-side apply as `tests`, forced; the object must be accepted. */
  apply(object: Fields, query?: string): Promise<Fields>
  remove(object: Fields): Promise<void>
  stop(): Promise<void>
}

/** Starts one on free ports. */
export async function startTestCluster(directory?: string): Promise<TestCluster> {
  const home = directory ?? (await mkdtemp(join(tmpdir(), 'gatesmith-sandbox-')))
  const log: string[] = []
  const sandbox = await startCluster({
    directory: home,
    host: '127.0.0.1',
    apiPort: 0,
    tlsPort: 0,
    plainPort: 0,
    log: (line) => log.push(line),
  })
  const call = caller(sandbox.kubeconfig)
  return {
    sandbox,
    directory: home,
    log,
    call,
    async apply(object, query = 'fieldManager=tests&force=true') {
      const headers = { 'content-type': 'application/apply-patch+yaml' }
      const reply = await call('PATCH', `${pathOf(object)}?${query}`, object, headers)
      assert.ok(reply.status < 300, JSON.stringify(reply.body))
      return fields(reply.body)
    },
    async remove(object) {
      const reply = await call('DELETE', pathOf(object))
      assert.equal(reply.status, 200)
    },
    async stop() {
      await sandbox.stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** Calls the API server of a kubeconfig with its token. */
export function caller(kubeconfig: string): TestCluster['call'] {
  const server = /server: (\S+)/.exec(kubeconfig)?.[1]
  const ca = Buffer.from(/certificate-authority-data: (\S+)/.exec(kubeconfig)?.[1] ?? '', 'base64')
  const token = /token: (\S+)/.exec(kubeconfig)?.[1]
  return (method, path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const bytes = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
      const sent = {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
        'content-length': Buffer.byteLength(bytes),
      }
      const asked = request(
        new URL(path, server),
        { method, ca, agent: false, headers: sent },
        (reply) => {
          const chunks: Buffer[] = []
          reply.on('data', (chunk) => chunks.push(chunk))
          reply.once('end', () => {
            const written = Buffer.concat(chunks).toString('utf8')
            resolve({
              status: reply.statusCode ?? 0,
              headers: reply.headers,
              body: readBody(written),
            })
          })
        },
      )
      asked.once('error', reject)
      asked.end(bytes)
    })
}

function readBody(written: string): Json {
  try {
    return parseJson(written)
  } catch {
    return written
  }
}

/** The path of an object. */
export function pathOf(object: Fields): string {
  const version = text(object, 'apiVersion')
  const root = version.includes('/') ? `/apis/${version}` : `/api/${version}`
  const namespace = text(object, 'metadata', 'namespace')
  const plural = `${text(object, 'kind').toLowerCase()}s`
  const name = text(object, 'metadata', 'name')
  return `${root}${namespace ? `/namespaces/${namespace}` : ''}/${plural}/${name}`
}

/** A Gateway in namespace test for the sandbox's pod. */
export function gateway(name: string, servers: readonly Json[], changes: Fields = {}): Fields {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'test', ...fields(changes, 'metadata') },
    spec: { selector: { istio: 'ingressgateway' }, servers, ...fields(changes, 'spec') },
  }
}

/** A VirtualService in namespace test. */
export function virtualService(name: string, spec: Fields, metadata: Fields = {}): Fields {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name, namespace: 'test', ...metadata },
    spec,
  }
}

/** A route to a Service's port. */
export function to(host: string, port: number): Json {
  return [{ destination: { host, port: { number: port } } }]
}

/** A Secret with text values. */
export function secret(
  name: string,
  data: Record<string, string>,
  namespace = 'istio-system',
  type = 'Opaque',
): Fields {
  const encoded = Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  )
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type, data: encoded }
}

/** What a TLS client saw: the leaf's subject name, the version, and the first answer; or that it failed. */
export type Seen = {
  readonly name: string
  readonly serial: string
  readonly protocol: string
  readonly status: number
  readonly body: string
}

/** One connection to the TLS port: handshake, one GET, the end. Rejects when refused at any step. */
export function get(
  port: number,
  host: string,
  path: string,
  options: ConnectionOptions = {},
): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const socket = open(port, host, options)
    const chunks: Buffer[] = []
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()
      socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
      socket.on('data', (chunk) => chunks.push(chunk))
      socket.once('end', () => {
        const whole = Buffer.concat(chunks).toString('utf8')
        const status = Number(/^HTTP\/1\.1 (\d+)/.exec(whole)?.[1] ?? 0)
        if (status === 0) return reject(new Error('closed without an answer'))
        resolve({
          name: /CN=([^\n]*)/.exec(certificate?.subject ?? '')?.[1] ?? '',
          serial: certificate?.serialNumber ?? '',
          protocol: socket.getProtocol() ?? '',
          status,
          body: whole.slice(whole.indexOf('\r\n\r\n') + 4),
        })
      })
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
  })
}

/** A TLS connection that trusts anything, with `host` as its server name ('' for none). */
export function open(port: number, host: string, options: ConnectionOptions = {}): TLSSocket {
  const name = host ? { servername: host } : {}
  return connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...name, ...options })
}

/** One GET on the plain port. */
export function getPlain(port: number, host: string, path: string) {
  return new Promise<{ status: number; location: string; body: string }>((resolve, reject) => {
    const asked = plainRequest(
      { host: '127.0.0.1', port, path, agent: false, headers: { host } },
      (reply) => {
        const chunks: Buffer[] = []
        reply.on('data', (chunk) => chunks.push(chunk))
        reply.once('end', () =>
          resolve({
            status: reply.statusCode ?? 0,
            location: reply.headers.location ?? '',
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        )
      },
    )
    asked.once('error', reject)
    asked.end()
  })
}
