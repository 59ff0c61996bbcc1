import { createServer as createHttp } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import {
  createSecureContext,
  createServer as createTls,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls'
import { text } from '../json.ts'
import type { FindSecret } from './credentials.ts'
import { secureOptions } from './credentials.ts'
import { readHello } from './hello.ts'
import { type Chain, chainFor, type Listener, listenersOf, type VirtualHosts } from './listeners.ts'
import { proxy } from './proxy.ts'
import type { Destination } from './routes.ts'
import type { World } from './servers.ts'
import type { Upstreams } from './upstreams.ts'

type Terminated = Extract<Chain, { readonly name: string }>

/** The two sockets of the gateway pod, not yet listening, and the way to end every connection. */
export type Ingress = {
  readonly tls: Server
  readonly plain: Server
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
const helloMilliseconds = 10_000

/** The ports the gateway pod listens on, as the Service istio-ingressgateway targets them. */
export const podPorts = { tls: 8443, plain: 8080 } as const

/** An ingress gateway: it peeks at each connection's ClientHello, finds the chain for its SNI, and
 *  passes the connection on or terminates it with exactly that chain's credential and demands. */
export function createIngress(options: IngressOptions): Ingress {
  const { log, upstreams } = options
  const sockets = new Set<Socket>()
  const routed = new WeakMap<object, string>()
  const servers = new Map<
    string,
    { readonly key: string; readonly server: TlsServer | undefined }
  >()
  let listeners: ReadonlyMap<number, Listener> = new Map()
  let routes: ReadonlyMap<string, VirtualHosts> = new Map()
  let fresh: NodeJS.Immediate | undefined
  let remarks = ''

  const http = createHttp((request, response) => {
    settle()
    const hosts = routes.get(routed.get(request.socket) ?? '') ?? new Map()
    proxy(request, response, hosts, upstreams)
  })
  http.on('clientError', (_error, socket) => socket.destroy())

  function refresh(): void {
    fresh ??= setImmediate(settle)
  }

  /** Several changes in one turn are read once, and a connection never waits for the next turn. */
  function settle(): void {
    if (!fresh) return
    clearImmediate(fresh)
    fresh = undefined
    read()
  }

  function read(): void {
    const found = listenersOf(options.world())
    const next = new Map(found.ports)
    for (const port of found.rejected) {
      const last = listeners.get(port)
      if (last) next.set(port, last)
    }
    listeners = next
    routes = routesOf(listeners)
    const used = new Set(chainsOf(listeners).map(idOf))
    for (const id of servers.keys()) if (!used.has(id)) servers.delete(id)
    const told = found.remarks.join('\n')
    if (told && told !== remarks) for (const remark of found.remarks) log(`ingress: ${remark}`)
    remarks = told
  }

  function accept(port: number, socket: Socket): void {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    settle()
    const listener = listeners.get(port)
    if (!listener || 'tcp' in listener) socket.destroy()
    else if ('plain' in listener) {
      routed.set(socket, `http.${port}`)
      http.emit('connection', socket)
    } else peek(socket, listener.tls)
  }

  function peek(socket: Socket, chains: ReadonlyMap<string, Chain>): void {
    let seen = Buffer.alloc(0)
    const timer = setTimeout(() => socket.destroy(), helloMilliseconds)
    const gone = (): void => clearTimeout(timer)
    const read = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk])
      const hello = readHello(seen)
      if (hello === 'more' && seen.length < helloBytes) return
      clearTimeout(timer)
      socket.off('data', read).off('close', gone).pause()
      if (typeof hello === 'string') return void socket.destroy()
      const chain = chainFor(chains, hello.serverName)
      if (!chain) return void socket.destroy()
      socket.unshift(seen)
      if ('to' in chain) pass(socket, chain.to)
      else terminate(socket, chain)
    }
    socket.on('data', read).once('close', gone)
  }

  function pass(socket: Socket, to: Destination): void {
    const found = upstreams.find(to)
    if (found.kind !== 'tls') return void socket.destroy()
    const upstream = connect({ host: '127.0.0.1', port: found.port })
    upstream.on('error', () => socket.destroy())
    socket.once('close', () => upstream.destroy())
    upstream.once('close', () => socket.destroy())
    socket.pipe(upstream).pipe(socket)
  }

  function terminate(socket: Socket, chain: Terminated): void {
    const server = serverOf(chain)
    if (!server) return void socket.resetAndDestroy()
    server.emit('connection', socket)
  }

  /** The TLS server of a chain, made anew when what it is made of has changed. When that is missing or
   *  unusable the one before goes on, as in Envoy, which is never told to forget a credential. */
  function serverOf(chain: Terminated): TlsServer | undefined {
    const { termination } = chain
    const id = idOf(chain)
    const before = servers.get(id)
    const { credential } = termination
    const used = [credential, `${credential}-cacert`].map(options.secret)
    const key = used.map((secret) => text(secret, 'metadata', 'resourceVersion')).join(' ')
    if (before?.key === key) return before.server
    try {
      const secure = secureOptions(termination, options.secret)
      const context = createSecureContext(secure)
      const made = createTls({
        ...secure,
        // A server makes its own context without allowPartialTrustChain; this one has it.
        SNICallback: (_name, done) => done(null, context),
        ALPNProtocols: ['http/1.1'],
        requestCert: termination.mode !== 'SIMPLE',
        rejectUnauthorized: termination.mode === 'MUTUAL',
        handshakeTimeout: helloMilliseconds,
      })
      made.on('secureConnection', (secure) => serve(secure, chain))
      made.on('tlsClientError', (_error, secure) => secure.destroy())
      servers.set(id, { key, server: made })
      return made
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      log(`ingress: no credential ${credential} for ${chain.name}: ${why}`)
      servers.set(id, { key, server: before?.server })
      return before?.server
    }
  }

  function serve(secure: TLSSocket, chain: Terminated): void {
    secure.on('error', () => secure.destroy())
    if (chain.termination.mode !== 'SIMPLE' && !trusted(secure, chain)) return void secure.destroy()
    routed.set(secure, chain.name)
    http.emit('connection', secure)
  }

  read()
  return {
    tls: createServer((socket) => accept(podPorts.tls, socket)),
    plain: createServer((socket) => accept(podPorts.plain, socket)),
    refresh,
    destroy() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** A certificate that was shown has to be good, in OPTIONAL_MUTUAL too, and to bear one of the server's
 *  subjectAltNames if it names any. */
function trusted(secure: TLSSocket, { termination }: Terminated): boolean {
  const certificate = secure.getPeerX509Certificate()
  if (!certificate) return termination.mode === 'OPTIONAL_MUTUAL'
  if (!secure.authorized) return false
  const names = altNamesIn(certificate.subjectAltName ?? '')
  const wanted = termination.subjectAltNames
  return wanted.length === 0 || wanted.some((name) => names.includes(name))
}

/** The names in Node's text of them, `DNS:a, URI:"b, c"`, whatever they contain. */
function altNamesIn(text: string): readonly string[] {
  const found = text.matchAll(/(?:^|, )[^:,"]+:("(?:[^"\\]|\\.)*"|[^,]*)/g)
  return [...found].map(([, name = '']) => (name.startsWith('"') ? String(JSON.parse(name)) : name))
}

function chainsOf(listeners: ReadonlyMap<number, Listener>): readonly Terminated[] {
  return [...listeners.values()].flatMap((listener) =>
    'tls' in listener ? [...listener.tls.values()].filter((chain) => 'name' in chain) : [],
  )
}

function idOf({ name, termination }: Terminated): string {
  return JSON.stringify([name, termination])
}

/** The virtual hosts of each route name: `http.8080`, `https.443.port.gateway.namespace`. */
function routesOf(listeners: ReadonlyMap<number, Listener>): ReadonlyMap<string, VirtualHosts> {
  const routes = new Map<string, VirtualHosts>()
  for (const [port, listener] of listeners) {
    if ('plain' in listener) routes.set(`http.${port}`, listener.plain)
  }
  for (const { name, hosts } of chainsOf(listeners)) routes.set(name, hosts)
  return routes
}
