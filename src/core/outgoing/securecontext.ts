import { hash } from 'node:crypto'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'

/** Whom a TLS connection trusts, in PEM, and what it shows of itself. */
export type TlsCredentials = {
  readonly trust?: readonly string[]
  /** Whether the roots that Node knows are trusted, too. */
  readonly publicRoots?: boolean
  readonly client?: { readonly cert: string; readonly key: string }
}

/** By digests of what they are made of. */
const contexts = new Map<string, SecureContext>()
const mostContexts = 50

/** Trust and credentials of connections, read once: that takes as long as a handshake, with the roots that Node knows
 *  five milliseconds, and many connections are made with the same. */
export function secureContextOf({
  trust = [],
  publicRoots = false,
  client,
}: TlsCredentials): SecureContext {
  const name = hash('sha256', JSON.stringify([trust, publicRoots, client]))
  const known = contexts.get(name)
  if (known) return known
  const ca = [...(publicRoots ? rootCertificates : []), ...trust]
  const made = createSecureContext({ ...(ca.length > 0 ? { ca } : {}), ...client })
  if (contexts.size >= mostContexts) contexts.clear()
  contexts.set(name, made)
  return made
}
