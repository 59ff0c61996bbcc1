import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { oids } from '../../x509/der/oids.ts'

/** The fields of a cluster or a user in a kubeconfig. */
export type Fields = Readonly<Record<string, unknown>>

/** Whether a field says anything: to kubectl an empty one is an absent one. */
export function isStated(value: unknown): boolean {
  return value !== undefined && value !== null && value !== ''
}

/** Why no connection could be trusted by the certificates in this field, all together. */
export function anchorFaults(fields: Fields, now: Date): readonly string[] {
  const field = 'certificate-authority-data'
  if (!isStated(fields[field])) return []
  const found = certificatesIn(fields, field)
  if (typeof found === 'string') return [found]
  return found.every((certificate) => hasEnded(certificate, now))
    ? [`${field}: every certificate in it has expired`]
    : []
}

/** Why a server would not take this user's client certificate, all together. */
export function clientFaults(fields: Fields, now: Date): readonly string[] {
  const [chainField, keyField] = ['client-certificate-data', 'client-key-data'] as const
  const [hasChain, hasKey] = [isStated(fields[chainField]), isStated(fields[keyField])]
  if (!hasChain && !hasKey) return []
  const chain = hasChain ? certificatesIn(fields, chainField) : []
  const key = hasKey ? privateKeyIn(fields, keyField) : undefined
  const malformed = [chain, key].filter((found) => typeof found === 'string')
  if (hasChain !== hasKey) return [...malformed, `user: ${chainField} and ${keyField} go together`]
  if (typeof chain === 'string' || typeof key === 'string') return malformed
  const [leaf] = chain
  if (!leaf || !key) return malformed
  const purposes = leaf.keyUsage ?? []
  return [
    ...(leaf.checkPrivateKey(key) ? [] : [`${keyField} is not the key of ${chainField}`]),
    ...(hasEnded(leaf, now) ? [`${chainField} expired at ${leaf.validToDate.toISOString()}`] : []),
    ...(purposes.length === 0 ||
    purposes.includes(oids.clientAuth) ||
    purposes.includes(oids.anyExtendedKeyUsage)
      ? []
      : [`${chainField} is not for clients (extendedKeyUsage)`]),
  ]
}

/** Why a text is no bearer token that fits into a header, or is one that has ended. More than RFC 6750 2.1
 *  names is taken: Rancher's have a colon. */
export function tokenFault(token: unknown, now: Date): string | undefined {
  if (typeof token !== 'string') return 'user: token is not text'
  if (!/^[\x21-\x7e]+$/.test(token)) {
    return 'user: token is not a bearer token: it has blanks, line breaks or characters beyond ASCII'
  }
  const expiry = expiryOf(token)
  return expiry === undefined || expiry > now.getTime() / 1000
    ? undefined
    : 'user: token has expired (exp): use one that stays, such as that of a service-account-token Secret'
}

/** When a token of a service account ends (RFC 7519 4.1.4), in seconds; undefined for what says nothing
 *  of it. */
function expiryOf(token: string): number | undefined {
  const [, payload, signature, ...more] = token.split('.')
  if (payload === undefined || signature === undefined || more.length > 0) return undefined
  const claims = readOr((): unknown => JSON.parse(Buffer.from(payload, 'base64url').toString()))
  const expiry = typeof claims === 'object' && claims && 'exp' in claims ? claims.exp : undefined
  return typeof expiry === 'number' ? expiry : undefined
}

function hasEnded({ validToDate }: X509Certificate, now: Date): boolean {
  return validToDate < now
}

type Block = { readonly label: string; readonly pem: string }

/** The PEM blocks of a field, or what is wrong with it. */
function blocksIn(fields: Fields, field: string): readonly Block[] | string {
  const value = fields[field]
  const base64 = typeof value === 'string' ? value.replace(/[\r\n]/g, '') : ''
  // Not more lenient than the clients that its owner tried it with.
  const whole = /^[A-Za-z0-9+/]+={0,2}$/.test(base64) && base64.length % 4 === 0
  const text = whole ? Buffer.from(base64, 'base64').toString('latin1') : ''
  const [, ...parts] = text.split('-----BEGIN ')
  const blocks = parts.flatMap((part) => {
    const label = part.slice(0, Math.max(0, part.indexOf('-----')))
    const end = `-----END ${label}-----`
    const at = part.indexOf(end)
    return at < 0 ? [] : [{ label, pem: `-----BEGIN ${part.slice(0, at)}${end}\n` }]
  })
  return blocks.length > 0 ? blocks : `${field} is not PEM in base64`
}

function certificatesIn(fields: Fields, field: string): readonly X509Certificate[] | string {
  const blocks = blocksIn(fields, field)
  if (typeof blocks === 'string') return blocks
  const read = blocks
    .filter(({ label }) => label === 'CERTIFICATE')
    .map(({ pem }) => readOr(() => new X509Certificate(pem)))
  const good = read.filter((certificate) => certificate !== undefined)
  return good.length > 0 && good.length === read.length ? good : `${field} has no certificate`
}

function privateKeyIn(fields: Fields, field: string): KeyObject | string {
  const blocks = blocksIn(fields, field)
  if (typeof blocks === 'string') return blocks
  const keys = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'))
  if (keys.some(({ label, pem }) => label.startsWith('ENCRYPTED') || /ENCRYPTED/.test(pem))) {
    return `${field} is encrypted, and nobody is here to type its password: decrypt it (openssl pkey)`
  }
  const [only, ...more] = keys.map(({ pem }) => readOr(() => createPrivateKey(pem)))
  return only && more.length === 0 ? only : `${field} is not one private key`
}

/** The cause is not told: it might quote the key. */
function readOr<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
