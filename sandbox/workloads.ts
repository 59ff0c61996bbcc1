import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import {
  createServer as createTlsServer,
  type ServerOptions,
  type Server as TlsServer,
} from 'node:https'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { Credential } from './apiserver/identity.ts'
import { servingPair } from './ingress/tls/credentials.ts'
import { type Fields, text } from './json.ts'

/** A sample workload: which pods it would be, by the label `app` in namespace `test`, and what answers on
 *  which container port, by HTTP or by TLS. */
export type Workload = {
  readonly app: string
  readonly ports: ReadonlyMap<number, Server | TlsServer>
}

/** The namespace the samples run in. */
export const sampleNamespace = 'test'

/** The sample workloads of the runbook: httpbin, helloworld and nginx. Their bodies say that this is a
 *  sandbox. nginx serves TLS, by SNI, with the newest kubernetes.io/tls Secret of its namespace that
 *  certifies the name, and with `fallback` when there is none. On port 8443, which no Service of the runbook leads
 *  to, it asks for a client certificate, whose ever, and says which it was shown. */
export function createWorkloads(
  secrets: () => readonly Fields[],
  fallback: Credential,
): readonly Workload[] {
  const otherwise = createSecureContext(fallback)
  const served: ServerOptions = {
    ...fallback,
    SNICallback: (name, done) => done(null, servingContext(secrets(), name) ?? otherwise),
  }
  const nginx = createTlsServer(served, answerNginx)
  const asking = createTlsServer(
    { ...served, requestCert: true, rejectUnauthorized: false },
    answerShown,
  )
  return [
    { app: 'httpbin', ports: new Map([[8080, createServer(answerHttpbin)]]) },
    { app: 'helloworld', ports: new Map([[5000, createServer(answerHelloworld)]]) },
    {
      app: 'nginx',
      ports: new Map<number, Server | TlsServer>([
        [80, createServer(answerNginx)],
        [443, nginx],
        [8443, asking],
      ]),
    },
  ]
}

function servingContext(secrets: readonly Fields[], name: string): SecureContext | undefined {
  const revision = (secret: Fields) => Number(text(secret, 'metadata', 'resourceVersion'))
  const newest = secrets
    .filter((secret) => text(secret, 'type') === 'kubernetes.io/tls')
    .toSorted((a, b) => revision(b) - revision(a))
  for (const secret of newest) {
    const pair = servingPair(secret, name)
    try {
      if (pair) return createSecureContext(pair)
    } catch {
      // A pair that does not fit together is passed over, as nginx would keep what it had.
    }
  }
  return undefined
}

const teapot = `
    -=[ teapot ]=-

       _...._
     .'  _ _ \`.
    | ."\` ^ \`". _,
    \\_;\`"---"\`|//
      |       ;/
      \\_     _/
        \`"""\`
`

const answerHttpbin: RequestListener = (request, response) => {
  const { pathname, search, searchParams } = new URL(request.url ?? '/', 'http://sandbox')
  const status = /^\/status\/([1-5]\d\d)$/.exec(pathname)?.[1]
  if (status) {
    response.writeHead(Number(status), { 'content-type': 'text/plain' })
    response.end(status === '418' ? teapot : '')
    return
  }
  const proto = request.headers['x-forwarded-proto'] ?? 'http'
  const url = `${proto}://${request.headers.host}${pathname}${search}`
  const origin = request.socket.remoteAddress ?? ''
  const facts = { args: Object.fromEntries(searchParams), headers: titled(request), origin, url }
  if (pathname === '/headers') return json(response, 200, { headers: titled(request) })
  const delay = /^\/delay\/(\d{1,2})$/.exec(pathname)?.[1]
  if (delay) {
    const wait = Math.min(Number(delay), 10) * 1000
    const timer = setTimeout(() => json(response, 200, facts), wait)
    return void response.once('close', () => clearTimeout(timer))
  }
  if (pathname === '/get' && request.method === 'GET') return json(response, 200, facts)
  if (pathname.startsWith('/anything')) return echo(request, response, facts)
  if (pathname === '/') return page(response, 200, 'httpbin', 'httpbin of the Gatesmith sandbox')
  page(
    response,
    404,
    '404 Not Found',
    'The sandbox has /status/{code}, /delay/{seconds}, /get, /headers and /anything.',
  )
}

function echo(
  request: IncomingMessage,
  response: ServerResponse,
  facts: Record<string, unknown>,
): void {
  const chunks: Buffer[] = []
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= 1024 * 1024) chunks.push(chunk)
  })
  request.once('end', () => {
    json(response, 200, {
      ...facts,
      method: request.method,
      data: Buffer.concat(chunks).toString('utf8'),
    })
  })
}

function titled(request: IncomingMessage): Record<string, string> {
  const title = (name: string) => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [title(name), String(value)]),
  )
}

const answerHelloworld: RequestListener = (request, response) => {
  if (new URL(request.url ?? '/', 'http://sandbox').pathname !== '/hello') {
    page(response, 404, '404 Not Found', 'helloworld of the Gatesmith sandbox has only /hello.')
    return
  }
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
  response.end('Hello version: v1, instance: helloworld-v1-gatesmith-sandbox\n')
}

const answerNginx: RequestListener = (_request, response) => {
  if (!response.hasHeader('server')) response.setHeader('server', 'nginx')
  page(response, 200, 'Welcome to nginx!', 'nginx of the Gatesmith sandbox.')
}

/** As nginx with `ssl_verify_client optional_no_ca`, but that it refuses who shows none. */
const answerShown: RequestListener = (request, response) => {
  const { socket } = request
  const { serialNumber } =
    socket instanceof TLSSocket ? socket.getPeerCertificate() : { serialNumber: undefined }
  if (serialNumber === undefined) {
    return page(response, 400, '400 Bad Request', 'No required SSL certificate was sent')
  }
  response.setHeader('x-ssl-client-serial', serialNumber.toLowerCase())
  answerNginx(request, response)
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body, null, 2)}\n`)
}

function page(response: ServerResponse, status: number, title: string, words: string): void {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' })
  response.end(`<!DOCTYPE html>\n<title>${title}</title>\n<h1>${title}</h1>\n<p>${words}</p>\n`)
}
