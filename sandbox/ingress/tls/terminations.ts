import type { Socket } from 'node:net'
import { createSecureContext, createServer, type Server, type TLSSocket } from 'node:tls'
import { text } from '../../json.ts'
import type { TerminatedChain } from '../listeners.ts'
import { alertFor, sendAlert, trafficSecret } from './alert.ts'
import { type FindSecret, secureOptions } from './credentials.ts'
import type { Hello } from './hello.ts'

/** How long a client may take for its handshake, from its first byte on. */
export const handshakeMilliseconds = 10_000

/** The TLS servers of the chains, none of which listens: each is handed its connections. */
export type Terminations = {
  /** Terminates a connection that began with this ClientHello; false while the chain has never had a usable
   *  credential. */
  enter(chain: TerminatedChain, socket: Socket, hello: Hello): boolean
  /** Forgets the servers of all other chains. */
  keep(chains: readonly TerminatedChain[]): void
}

/** `serve` gets each connection that has met its chain's demands. */
export function createTerminations(options: {
  readonly secret: FindSecret
  readonly log: (line: string) => void
  readonly serve: (secure: TLSSocket, chain: TerminatedChain) => void
}): Terminations {
  const { secret, log } = options
  const servers = new Map<string, { readonly key: string; readonly servers: Servers | undefined }>()
  /** What Node does not tell of a connection, by the address of its client. */
  const entered = new Map<string, { readonly socket: Socket; readonly tickets: number }>()
  const secrets = new WeakMap<TLSSocket, Buffer>()

  function accept(secure: TLSSocket, chain: TerminatedChain): void {
    secure.on('error', () => secure.destroy())
    const fault = chain.termination.mode === 'SIMPLE' ? undefined : faultOf(secure, chain)
    if (fault === undefined) {
      options.serve(secure, chain)
      return
    }
    const found = entered.get(peerOf(secure))
    const trafficKey = secrets.get(secure)
    if (!found || !trafficKey) return void secure.destroy()
    const { socket, tickets } = found
    sendAlert({ secure, socket }, alertFor(fault), { secret: trafficKey, tickets })
  }

  /** Made anew when what they are made of has changed. When that is missing or unusable those before go
   *  on, as in Envoy, which is never told to forget a credential. */
  function serversOf(chain: TerminatedChain): Servers | undefined {
    const id = idOf(chain)
    const before = servers.get(id)
    const { credential } = chain.termination
    const used = [credential, `${credential}-cacert`].map(secret)
    const key = used.map((each) => text(each, 'metadata', 'resourceVersion')).join(' ')
    if (before?.key === key) return before.servers
    try {
      const made = serversFor(chain, secret)
      for (const server of made.values()) {
        server.on('secureConnection', (secure) => accept(secure, chain))
        server.on('keylog', (line, secure) => {
          const found = trafficSecret(line)
          if (found) secrets.set(secure, found)
        })
      }
      servers.set(id, { key, servers: made })
      return made
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      log(`ingress: no credential ${credential} for ${chain.name}: ${why}`)
      servers.set(id, { key, servers: before?.servers })
      return before?.servers
    }
  }

  return {
    enter(chain, socket, hello) {
      const server = serversOf(chain)?.get(kindOf(chain, hello))
      if (!server) return false
      const peer = peerOf(socket)
      // OpenSSL sends two tickets after a handshake.
      entered.set(peer, { socket, tickets: hello.tickets ? 2 : 0 })
      socket.once('close', () => entered.delete(peer))
      server.emit('connection', socket)
      return true
    },
    keep(chains) {
      const used = new Set(chains.map(idOf))
      for (const id of servers.keys()) if (!used.has(id)) servers.delete(id)
    },
  }
}

function idOf({ name, termination }: TerminatedChain): string {
  return JSON.stringify([name, termination])
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

/** For each kind of client its server: what Node cannot decide for each connection. */
type Servers = ReadonlyMap<Kind, Server>
type Kind = 'modern' | 'modern, no protocol' | 'old' | 'old, no protocol'
const offered = ['h2', 'http/1.1']

function kindOf({ termination }: TerminatedChain, { protocols, tls13 }: Hello): Kind {
  const modern = tls13 && termination.maxVersion !== 'TLSV1_2'
  // Node ends the handshake where nothing is in common; Envoy goes on without.
  const common = protocols.some((each) => offered.includes(each))
  if (modern) return common ? 'modern' : 'modern, no protocol'
  return common ? 'old' : 'old, no protocol'
}

/** Throws when the credential is missing or unusable. */
function serversFor({ termination }: TerminatedChain, secret: FindSecret): Servers {
  const secure = secureOptions(termination, secret)
  const context = createSecureContext(secure)
  const make = (modern: boolean, protocols: readonly string[]): Server =>
    createServer({
      ...secure,
      // A server makes its own context without allowPartialTrustChain; this one has it.
      SNICallback: (_name, done) => done(null, context),
      ...(protocols.length > 0 ? { ALPNProtocols: [...protocols] } : {}),
      requestCert: termination.mode !== 'SIMPLE',
      // TLS 1.3 tells the client why after the handshake: see alert.ts.
      rejectUnauthorized: termination.mode === 'MUTUAL' && !modern,
      handshakeTimeout: handshakeMilliseconds,
    }).on('tlsClientError', (_error, socket) => socket.destroy())
  return new Map([
    ['modern', make(true, offered)],
    ['modern, no protocol', make(true, [])],
    ['old', make(false, offered)],
    ['old, no protocol', make(false, [])],
  ])
}

/** What is wrong with the certificate that was shown, in OPTIONAL_MUTUAL too: it has to be good, and to bear
 *  one of the server's subjectAltNames if it names any. Null: none was shown and one is wanted; undefined:
 *  nothing is wrong. */
function faultOf(secure: TLSSocket, { termination }: TerminatedChain): string | null | undefined {
  const certificate = secure.getPeerX509Certificate()
  if (!certificate) return termination.mode === 'OPTIONAL_MUTUAL' ? undefined : null
  if (!secure.authorized) return String(secure.authorizationError)
  const names = altNamesIn(certificate.subjectAltName ?? '')
  const wanted = termination.subjectAltNames
  return wanted.length === 0 || wanted.some((name) => names.includes(name))
    ? undefined
    : 'its names are others'
}

/** The names in Node's text of them, `DNS:a, URI:"b, c"`, whatever they contain. */
function altNamesIn(text: string): readonly string[] {
  const found = text.matchAll(/(?:^|, )[^:,"]+:("(?:[^"\\]|\\.)*"|[^,]*)/g)
  return [...found].map(([, name = '']) => (name.startsWith('"') ? String(JSON.parse(name)) : name))
}
