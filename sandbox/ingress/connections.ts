import { createServer as createHttp } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { type Configuration, createConfiguration } from './configuration.ts'
import { createHttp2 } from './http/http2.ts'
import { type Chain, chainFor } from './listeners.ts'
import { proxy } from './proxy.ts'
import type { Destination } from './routes.ts'
import type { World } from './servers.ts'
import type { FindSecret } from './tls/credentials.ts'
import { type Hello, readHello } from './tls/hello.ts'
import { createTerminations, handshakeMilliseconds } from './tls/terminations.ts'
import type { Upstreams } from './upstreams.ts'

/** The two sockets of the gateway pod, not yet listening. */
export type Ingress = {
  readonly tls: Server
  readonly plain: Server
  readonly configuration: Configuration
  /** Reads the objects afresh: called after every change of them. */
  refresh(): void
}

/** What the ingress reads and whom it reaches. */
export type IngressOptions = {
  readonly world: () => World
  readonly secret: FindSecret
  readonly upstreams: Upstreams
  readonly log: (line: string) => void
}

const helloBytes = 16 * 1024

/** The ports the gateway pod listens on, as the Service istio-ingressgateway targets them. */
const podPorts = { tls: 8443, plain: 8080 } as const

/** An ingress gateway: it peeks at each connection's ClientHello, finds the chain for its SNI, and
 *  passes the connection on or terminates it with exactly that chain's credential and demands. */
export function createIngress({ world, secret, upstreams, log }: IngressOptions): Ingress {
  /** The routes and the client of each connection. */
  const routed = new WeakMap<object, { readonly name: string; readonly client: Socket }>()
  const http = createHttp((request, response) => {
    const { name, client } = routed.get(request.socket) ?? { name: '', client: request.socket }
    proxy(request, response, { hosts: configuration.hosts(name), client, upstreams })
  })
  http.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end(badRequest())
    else socket.destroy()
  })
  const route = (socket: Socket, name: string): void => {
    routed.set(socket, { name, client: socket })
    http.emit('connection', socket)
  }
  const http2 = createHttp2((inner, session) => {
    const outer = routed.get(session)
    if (outer) routed.set(inner, outer)
    http.emit('connection', inner)
  })
  const terminations = createTerminations({
    secret,
    log,
    serve(secure, { name }) {
      if (secure.alpnProtocol !== 'h2') return route(secure, name)
      http2.once('session', (session) => routed.set(session, { name, client: secure }))
      http2.emit('connection', secure)
    },
  })
  const configuration = createConfiguration({ world, log, changed: terminations.keep })

  function accept(port: number, socket: Socket): void {
    socket.on('error', () => socket.destroy())
    const listener = configuration.listener(port, socket.localAddress)
    if (!listener || 'tcp' in listener) socket.destroy()
    else if ('plain' in listener) route(socket, `http.${port}`)
    else {
      const { tls, clear } = listener
      peek(socket, (hello, seen) => {
        const chain = hello && chainFor(tls, hello.serverName)
        const plain = !chain && clear && clear !== 'tcp'
        // The HTTP server takes the connection over before it is given what was read.
        if (plain) route(socket, `http.${port}`)
        socket.unshift(seen)
        if (plain) process.nextTick(() => socket.resume())
        else enter(socket, chain, hello)
      })
    }
  }

  function enter(socket: Socket, chain: Chain | undefined, hello: Hello | undefined): void {
    if (!chain || !hello) return void socket.resetAndDestroy()
    if ('to' in chain) return void pass(socket, chain.to, upstreams)
    if (!terminations.enter(chain, socket, hello)) socket.resetAndDestroy()
  }

  return {
    tls: createServer((socket) => accept(podPorts.tls, socket)),
    plain: createServer((socket) => accept(podPorts.plain, socket)),
    configuration,
    refresh: configuration.refresh,
  }
}

/** Reads the ClientHello and hands the connection on, paused, with what was read of it; without a hello
 *  what is no ClientHello or too long. What is too late is reset. */
function peek(socket: Socket, next: (hello: Hello | undefined, seen: Buffer) => void): void {
  let seen = Buffer.alloc(0)
  const timer = setTimeout(() => socket.resetAndDestroy(), handshakeMilliseconds)
  const gone = (): void => clearTimeout(timer)
  const read = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk])
    const hello = readHello(seen)
    if (hello === 'more' && seen.length < helloBytes) return
    clearTimeout(timer)
    socket.off('data', read).off('close', gone).pause()
    next(typeof hello === 'string' ? undefined : hello, seen)
  }
  socket.on('data', read).once('close', gone)
}

/** As Envoy answers what is no request. */
function badRequest(): string {
  const lines = [
    'HTTP/1.1 400 Bad Request',
    ...['content-length: 11', 'content-type: text/plain', `date: ${new Date().toUTCString()}`],
    ...['server: istio-envoy', 'connection: close', '', 'Bad Request'],
  ]
  return lines.join('\r\n')
}

function pass(socket: Socket, to: Destination, upstreams: Upstreams): void {
  const found = upstreams.find(to)
  if (found.kind !== 'tls') return void socket.destroy()
  const upstream = connect({ host: '127.0.0.1', port: found.port })
  upstream.on('error', () => socket.destroy())
  socket.once('close', () => upstream.destroy())
  upstream.once('close', () => socket.destroy())
  socket.pipe(upstream).pipe(socket)
}
