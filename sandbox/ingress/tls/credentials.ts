import { X509Certificate } from 'node:crypto'
import type { SecureContextOptions, SecureVersion } from 'node:tls'
import { at, type Fields, text } from '../../json.ts'
import type { Termination } from '../listeners.ts'

/** How a gateway looks a Secret up: by name, in its own namespace. */
export type FindSecret = (name: string) => Fields | undefined

/** What a chain's TLS is set up from. Throws a sentence when the Secrets do not hold it: then the
 *  handshake is reset, or an earlier credential goes on being served. */
export function secureOptions(termination: Termination, find: FindSecret): SecureContextOptions {
  const { mode, credential, minVersion, maxVersion } = termination
  const pair = keyPair(find(credential), credential)
  const trust = mode === 'SIMPLE' ? {} : clientTrust(credential, find)
  return {
    ...pair,
    ...trust,
    sigalgs,
    minVersion: versions[minVersion] ?? 'TLSv1.2',
    maxVersion: versions[maxVersion] ?? 'TLSv1.3',
  }
}

/** What Envoy signs with and asks clients to sign with (BoringSSL's defaults): no Ed25519. */
const sigalgs = ['SHA256', 'SHA384', 'SHA512']
  .flatMap((hash) => [`ECDSA+${hash}`, `RSA-PSS+${hash}`, `RSA+${hash}`])
  .join(':')

const versions: Readonly<Record<string, SecureVersion>> = {
  TLSV1_0: 'TLSv1',
  TLSV1_1: 'TLSv1.1',
  TLSV1_2: 'TLSv1.2',
  TLSV1_3: 'TLSv1.3',
}

/** `cert` and `key`, else `tls.crt` and `tls.key`; a name that ends in -cacert holds CAs only. */
function keyPair(secret: Fields | undefined, name: string): { cert: string; key: string } {
  if (!secret) throw new Error(`Secret ${name} is not there`)
  if (name.endsWith('-cacert'))
    throw new Error(`Secret ${name} is taken for CA certificates by its name`)
  for (const [cert, key] of [
    ['cert', 'key'],
    ['tls.crt', 'tls.key'],
  ] as const) {
    if (value(secret, cert) && value(secret, key))
      return { cert: value(secret, cert), key: value(secret, key) }
  }
  throw new Error(`Secret ${name} has neither cert and key nor tls.crt and tls.key`)
}

/** The CAs and their revocation lists: of NAME-cacert if there is such a Secret, even a useless one, or
 *  else of NAME; `cacert` with `crl`, else `ca.crt` with `ca.crl`. Several of each may stand in one. */
function clientTrust(name: string, find: FindSecret): SecureContextOptions {
  const secret = find(`${name}-cacert`) ?? find(name)
  for (const [ca, crl] of [
    ['cacert', 'crl'],
    ['ca.crt', 'ca.crl'],
  ] as const) {
    const authorities = blocks(value(secret, ca), 'CERTIFICATE')
    if (authorities.length === 0) continue
    const lists = blocks(value(secret, crl), 'X509 CRL')
    const revoked = lists.length > 0 ? { crl: lists } : {}
    return { ca: authorities, ...revoked, allowPartialTrustChain: isPartial(authorities) }
  }
  throw new Error(
    `Secret ${text(secret, 'metadata', 'name') || name} has neither cacert nor ca.crt`,
  )
}

/** For Envoy an intermediate alone is trust enough, but it goes on to the root where the bundle has it.
 *  OpenSSL would stop at the intermediate, and then miss the issuer of the root's list. */
function isPartial(authorities: readonly string[]): boolean {
  const all = authorities.map((pem) => new X509Certificate(pem))
  return all.some((each) => !all.some((other) => each.checkIssued(other)))
}

function value(secret: Fields | undefined, key: string): string {
  const encoded = at(secret, 'data', key)
  return typeof encoded === 'string' ? Buffer.from(encoded, 'base64').toString('utf8') : ''
}

function blocks(pem: string, label: string): string[] {
  return pem.match(new RegExp(`-----BEGIN ${label}-----[^-]*-----END ${label}-----`, 'g')) ?? []
}

/** A kubernetes.io/tls Secret's pair as a workload mounts it, if it certifies `name`. */
export function servingPair(
  secret: Fields,
  name: string,
): { cert: string; key: string } | undefined {
  const pair = { cert: value(secret, 'tls.crt'), key: value(secret, 'tls.key') }
  try {
    const certificate = new X509Certificate(pair.cert)
    return certificate.checkHost(name, { subject: 'never' }) ? pair : undefined
  } catch {
    return undefined
  }
}
