import { createServer as createHttp } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { type Configuration, createConfiguration } from './configuration.ts'
import type { FindSecret } from './credentials.ts'
import { readHello } from './hello.ts'
import { type Chain, chainFor } from './listeners.ts'
import { proxy } from './proxy.ts'
import type { Destination } from './routes.ts'
import type { World } from './servers.ts'
import { createTerminations, handshakeMilliseconds } from './terminations.ts'
import type { Upstreams } from './upstreams.ts'

/** The two sockets of the gateway pod, not yet listening, and the way to end every connection. */
export type Ingress = {
  readonly tls: Server
  readonly plain: Server
  readonly configuration: Configuration
  /** Reads the objects afresh: called after every change of them. */
  refresh(): void
  destroy(): void
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
  const sockets = new Set<Socket>()
  const routed = new WeakMap<Socket, string>()
  const http = createHttp((request, response) => {
    const hosts = configuration.hosts(routed.get(request.socket) ?? '')
    proxy(request, response, hosts, upstreams)
  })
  http.on('clientError', (_error, socket) => socket.destroy())
  const route = (socket: Socket, name: string): void => {
    routed.set(socket, name)
    http.emit('connection', socket)
  }
  const terminations = createTerminations({
    secret,
    log,
    serve: (secure, { name }) => route(secure, name),
  })
  const configuration = createConfiguration({ world, log, changed: terminations.keep })

  function accept(port: number, socket: Socket): void {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    const listener = configuration.listener(port, socket.localAddress)
    if (!listener || 'tcp' in listener) socket.destroy()
    else if ('plain' in listener) route(socket, `http.${port}`)
    else {
      const { tls, clear } = listener
      peek(socket, (serverName, seen) => {
        const chain = serverName === undefined ? undefined : chainFor(tls, serverName)
        const plain = !chain && clear && clear !== 'tcp'
        // The HTTP server takes the connection over before it is given what was read.
        if (plain) route(socket, `http.${port}`)
        socket.unshift(seen)
        if (plain) process.nextTick(() => socket.resume())
        else enter(socket, chain)
      })
    }
  }

  function enter(socket: Socket, chain: Chain | undefined): void {
    if (!chain) return void socket.destroy()
    if ('to' in chain) return void pass(socket, chain.to, upstreams)
    const server = terminations.server(chain)
    if (!server) return void socket.resetAndDestroy()
    server.emit('connection', socket)
  }

  return {
    tls: createServer((socket) => accept(podPorts.tls, socket)),
    plain: createServer((socket) => accept(podPorts.plain, socket)),
    configuration,
    refresh: configuration.refresh,
    destroy() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Reads the ClientHello and hands the connection on, paused, with what was read of it; without a server name
 *  what is no ClientHello or too long. What is too late ends. */
function peek(socket: Socket, next: (serverName: string | undefined, seen: Buffer) => void): void {
  let seen = Buffer.alloc(0)
  const timer = setTimeout(() => socket.destroy(), handshakeMilliseconds)
  const gone = (): void => clearTimeout(timer)
  const read = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk])
    const hello = readHello(seen)
    if (hello === 'more' && seen.length < helloBytes) return
    clearTimeout(timer)
    socket.off('data', read).off('close', gone).pause()
    next(typeof hello === 'string' ? undefined : hello.serverName, seen)
  }
  socket.on('data', read).once('close', gone)
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
