import { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import {
  forbiddenMessage,
  isForbiddenAddress,
  partsOf,
  safeLookup,
} from '../../clusters/addresses.ts'

/** How long an ingress may take for one handshake and one answer. */
export const timeoutMilliseconds = 5000

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
  /** Of the chain the leaf alone is wanted: to read it all takes as long as the handshake. */
  readonly leafAlone?: boolean
}

/** What was shown of a TLS connection. */
export type ShownTls = {
  readonly version: string
  readonly cipher: string
  /** By what the keys were agreed on, as OpenSSL names it; null: it does not say. */
  readonly group: string | null
  /** The application protocol that was agreed on (ALPN), if one was. */
  readonly protocol: string | null
  readonly leaf: X509Certificate
  /** The leaf and what was sent above it, the root not counted. */
  readonly chain: readonly X509Certificate[]
  /** How many these are. */
  readonly chainLength: number
  /** Why the chain does not lead to `trust` or not to the name; null when it does. */
  readonly distrust: string | null
  /** A stapled OCSP response in DER, if one was sent. */
  readonly staple: Buffer | null
}

/** Where node is to connect to for host:port, or why that is never done. A name is looked up once, and what
 *  was found and looked at is connected to. */
export function wayTo(address: string) {
  const { host, port } = partsOf(address)
  if (isForbiddenAddress(host)) return { fault: forbiddenMessage(host) }
  return { host, port, lookup: safeLookup }
}

/** How node is to make the connection. */
export function tlsOptions({ name, trust, client }: Call) {
  return {
    servername: name,
    requestOCSP: true,
    // What is served is wanted, whether it can be trusted or not.
    rejectUnauthorized: false,
    ...(trust === undefined ? {} : { ca: [...trust] }),
    ...(client ?? {}),
  }
}

/** What the other side has shown by now; null: nothing. */
export function shownTls(
  socket: TLSSocket,
  { leafAlone = false }: Pick<Call, 'leafAlone'> = {},
): ShownTls | null {
  // Not getPeerX509Certificate, which takes the leaf out of the connection's chain (Node 24).
  const { raw } = socket.getPeerCertificate()
  if (!raw) return null
  const leaf = new X509Certificate(raw)
  const chain = leafAlone ? [leaf] : chainOf(socket.getPeerCertificate(true))
  const key = socket.getEphemeralKeyInfo()
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.standardName ?? '',
    group: key && 'name' in key && key.name ? String(key.name) : null,
    protocol: socket.alpnProtocol ? String(socket.alpnProtocol) : null,
    leaf,
    chain,
    chainLength: chain.length,
    distrust: socket.authorized ? null : whyNot(socket.authorizationError),
    staple: null,
  }
}

/** There is no verdict before the handshake is over. */
function whyNot(error: unknown): string {
  if (!error) return 'The handshake was not finished'
  return error instanceof Error ? error.message : String(error)
}

const longestChain = 10

/** Node ends the chain with the trust anchor it found, which was not sent. */
function chainOf(certificate: DetailedPeerCertificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = []
  for (let each = certificate; chain.length < longestChain; each = each.issuerCertificate) {
    chain.push(new X509Certificate(each.raw))
    const above = each.issuerCertificate
    if (!above || above.fingerprint256 === each.fingerprint256) break
    // The one above is the root: its own issuer.
    if (above.issuerCertificate?.fingerprint256 === above.fingerprint256) break
  }
  return chain
}

/** Whether nothing came in time. */
export function isLate({ name }: Error): boolean {
  return name === 'AbortError' || name === 'TimeoutError'
}

/** A sentence about why there was no answer. */
export function reason(error: Error): string {
  if (isLate(error)) {
    return `No answer within ${timeoutMilliseconds / 1000} s`
  }
  // OpenSSL's own words, less the places in its source.
  const words = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
  return 'code' in error && typeof error.code === 'string' ? `${error.code}: ${words}` : words
}
