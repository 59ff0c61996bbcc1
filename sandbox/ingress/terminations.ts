import { createSecureContext, createServer, type Server, type TLSSocket } from 'node:tls'
import { text } from '../json.ts'
import { type FindSecret, secureOptions } from './credentials.ts'
import type { TerminatedChain } from './listeners.ts'

/** How long a client may take for its handshake, from its first byte on. */
export const handshakeMilliseconds = 10_000

/** The TLS servers of the chains, none of which listens: each is handed its connections. */
export type Terminations = {
  /** The server of a chain; undefined while it has never had a usable credential. */
  server(chain: TerminatedChain): Server | undefined
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
  const servers = new Map<string, { readonly key: string; readonly server: Server | undefined }>()

  function accept(secure: TLSSocket, chain: TerminatedChain): void {
    secure.on('error', () => secure.destroy())
    if (chain.termination.mode !== 'SIMPLE' && !trusted(secure, chain)) return void secure.destroy()
    options.serve(secure, chain)
  }

  return {
    /** Made anew when what it is made of has changed. When that is missing or unusable the one before
     *  goes on, as in Envoy, which is never told to forget a credential. */
    server(chain) {
      const id = idOf(chain)
      const before = servers.get(id)
      const { credential } = chain.termination
      const used = [credential, `${credential}-cacert`].map(secret)
      const key = used.map((each) => text(each, 'metadata', 'resourceVersion')).join(' ')
      if (before?.key === key) return before.server
      try {
        const server = serverFor(chain, secret)
        server.on('secureConnection', (secure) => accept(secure, chain))
        servers.set(id, { key, server })
        return server
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        log(`ingress: no credential ${credential} for ${chain.name}: ${why}`)
        servers.set(id, { key, server: before?.server })
        return before?.server
      }
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

/** Throws when the credential is missing or unusable. */
function serverFor({ termination }: TerminatedChain, secret: FindSecret): Server {
  const secure = secureOptions(termination, secret)
  const context = createSecureContext(secure)
  const server = createServer({
    ...secure,
    // A server makes its own context without allowPartialTrustChain; this one has it.
    SNICallback: (_name, done) => done(null, context),
    ALPNProtocols: ['http/1.1'],
    requestCert: termination.mode !== 'SIMPLE',
    rejectUnauthorized: termination.mode === 'MUTUAL',
    handshakeTimeout: handshakeMilliseconds,
  })
  return server.on('tlsClientError', (_error, socket) => socket.destroy())
}

/** A certificate that was shown has to be good, in OPTIONAL_MUTUAL too, and to bear one of the server's
 *  subjectAltNames if it names any. */
function trusted(secure: TLSSocket, { termination }: TerminatedChain): boolean {
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
