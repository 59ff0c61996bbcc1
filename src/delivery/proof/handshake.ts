import { X509Certificate } from 'node:crypto'
import { type RequestOptions, request } from 'node:https'
import { type DetailedPeerCertificate, TLSSocket } from 'node:tls'

const timeoutMilliseconds = 5000

/** Whom to ask, and how. */
export type Call = {
  /** host:port of the ingress. */
  readonly address: string
  /** The name that is asked for, by SNI and Host. */
  readonly name: string
  readonly path?: string
  /** PEM: whom the served chain is held against. */
  readonly trust?: readonly string[]
  /** PEM: what we show of ourselves, for MUTUAL. */
  readonly client?: { readonly cert: string; readonly key: string }
}

/** What came back. `leaf` stands as soon as the server has shown it, even if it then hangs up. */
export type Answer = {
  readonly tls: {
    readonly version: string
    readonly leaf: X509Certificate
    /** How many certificates were sent, the root not counted. */
    readonly chainLength: number
    /** Why the chain does not lead to `trust` or not to the name; null when it does. */
    readonly distrust: string | null
  } | null
  readonly status: number | null
  readonly error: string | null
  /** Nothing came back in time, not even a certificate. */
  readonly late: boolean
  /** The handshake came to its end. */
  readonly finished: boolean
  /** We were let in: there is an answer, or it is waited for in vain on a connection that stays open.
   *  In TLS 1.3 a server refuses a client certificate after the handshake. */
  readonly accepted: boolean
}

/** One TLS connection and one GET, as a client would make them. It never throws for what the other side
 *  does: that is the answer. */
export function shakeHands(call: Call): Promise<Answer> {
  const { host, port } = parts(call.address)
  const options: RequestOptions = {
    host,
    port,
    method: 'GET',
    path: call.path ?? '/',
    headers: { host: call.name, 'user-agent': 'gatesmith-probe' },
    agent: false,
    servername: call.name,
    // What is served is wanted, whether it can be trusted or not.
    rejectUnauthorized: false,
    signal: AbortSignal.timeout(timeoutMilliseconds),
    ...(call.trust === undefined ? {} : { ca: [...call.trust] }),
    ...(call.client ?? {}),
  }
  return new Promise((resolve) => {
    let tls: Answer['tls'] = null
    let finished = false
    const asked = request(options)
    const answer = (status: number | null, error: Error | null) => {
      const late = error !== null && isLate(error)
      const accepted = status !== null || (finished && late)
      const told = { tls, status, error: error && reason(error), finished, accepted }
      resolve({ ...told, late: late && tls === null })
      asked.destroy()
    }
    asked.on('socket', (socket) => {
      if (!(socket instanceof TLSSocket)) return
      const look = () => {
        tls = shown(socket) ?? tls
      }
      // In TLS 1.2 a server that misses a client certificate ends the handshake; keys are derived, and
      // its own certificate is there, just before.
      socket.on('keylog', look)
      socket.on('secureConnect', () => {
        look()
        finished = true
      })
    })
    asked.on('response', ({ statusCode }) => answer(statusCode ?? null, null))
    asked.on('error', (error) => answer(null, error))
    asked.end()
  })
}

/** The name to ask a wildcard host by: some name under it. */
export function nameUnder(hostname: string): string {
  return hostname.replace(/^\*\./, 'gatesmith-probe.')
}

function parts(address: string) {
  const colon = address.lastIndexOf(':')
  return {
    host: address.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(colon + 1)),
  }
}

function shown(socket: TLSSocket): Answer['tls'] {
  // Not getPeerX509Certificate, which takes the leaf out of the connection's chain (Node 24).
  const certificate = socket.getPeerCertificate(true)
  if (!certificate.raw) return null
  return {
    version: socket.getProtocol() ?? '',
    leaf: new X509Certificate(certificate.raw),
    chainLength: chainLength(certificate),
    distrust: socket.authorized ? null : whyNot(socket.authorizationError),
  }
}

/** There is no verdict before the handshake is over. */
function whyNot(error: unknown): string {
  if (!error) return 'The handshake was not finished'
  return error instanceof Error ? error.message : String(error)
}

/** Node ends the chain with the trust anchor it found, which was not sent. */
function chainLength(certificate: DetailedPeerCertificate): number {
  const { issuerCertificate } = certificate
  if (!issuerCertificate || issuerCertificate.fingerprint256 === certificate.fingerprint256)
    return 1
  const above = issuerCertificate.issuerCertificate
  const isRoot = above?.fingerprint256 === issuerCertificate.fingerprint256
  return isRoot ? 1 : 1 + chainLength(issuerCertificate)
}

function isLate({ name }: Error): boolean {
  return name === 'AbortError' || name === 'TimeoutError'
}

function reason(error: Error): string {
  if (isLate(error)) {
    return `No answer within ${timeoutMilliseconds / 1000} s`
  }
  return 'code' in error && typeof error.code === 'string'
    ? `${error.code}: ${error.message}`
    : error.message
}
