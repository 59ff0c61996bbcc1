import { type KeyObject, X509Certificate } from 'node:crypto'
import type { DynamicSecret } from '../listeners/dump.ts'
import { gatewayOf } from '../listeners/find.ts'
import type { PodHoldings } from '../listeners/pods.ts'
import type { Chain } from '../listeners/table.ts'

/** A certificate that a gateway pod holds, and what it serves it for. */
export type Holding = {
  readonly credential: string
  readonly fingerprintSha256: string
  readonly serial: string
  readonly subject: string
  readonly issuer: string
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly keyAlgorithm: string | null
  readonly notBefore: Date
  readonly notAfter: Date
  readonly chainLength: number
  readonly servedNames: readonly string[]
  readonly gateways: readonly string[]
}

/** What a workload of the mesh shows others, and whom it trusts: istiod's own, made anew by the day. */
const ofMesh: ReadonlySet<string> = new Set(['default', 'ROOTCA'])

const most = { text: 1000, names: 100, octets: 256 * 1024, certificates: 10_000 } as const

/** The certificates of a pod's listeners, so many at most; what cannot be read as one is passed over. OpenSSL reads
 *  them: what is served is of interest however it was written. They come one by one, so that whoever reads them can
 *  let others go on between. */
export function* holdingsIn({ secrets, chains }: PodHoldings): Generator<Holding> {
  const serving = Map.groupBy(chains, ({ tls }) => tls?.credential)
  let count = 0
  for (const secret of secrets) {
    const found = holdingOf(secret, serving.get(secret.name) ?? [])
    if (!found) continue
    yield found
    if (++count >= most.certificates) return
  }
}

function holdingOf(secret: DynamicSecret, serving: readonly Chain[]): Holding | undefined {
  const { name = '' } = secret
  const { leaf, chainLength } = ofMesh.has(name) ? nothing : certificatesIn(secret)
  const facts = leaf && factsOf(leaf)
  if (!facts) return undefined
  const names = serving.flatMap(({ serverNames }) => (serverNames.length > 0 ? serverNames : ['*']))
  const gateways = serving.flatMap(({ routeName }) => gatewayOf(routeName) ?? [])
  return {
    credential: storable(name),
    ...facts,
    chainLength,
    servedNames: distinct(names),
    gateways: distinct(gateways),
  }
}

const nothing = { leaf: undefined, chainLength: 0 } as const

function certificatesIn({ secret }: DynamicSecret): {
  readonly leaf: X509Certificate | undefined
  readonly chainLength: number
} {
  const { inline_bytes: octets, inline_string: plain = '' } =
    secret?.tls_certificate?.certificate_chain ?? {}
  const text = octets === undefined ? plain : Buffer.from(octets, 'base64').toString('latin1')
  if (text.length > most.octets) return nothing
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const [first, ...above] = blocks
  if (first === undefined) return nothing
  try {
    return { leaf: new X509Certificate(first), chainLength: above.length }
  } catch {
    return nothing
  }
}

/** What is told of a certificate; undefined: its dates are none. */
export function factsOf(leaf: X509Certificate) {
  const { validFromDate: notBefore, validToDate: notAfter } = leaf
  if (!isMoment(notBefore) || !isMoment(notAfter)) return undefined
  const names = (leaf.subjectAltName ?? '').split(', ')
  const of = (kind: string) =>
    distinct(
      names.flatMap((each) =>
        each.startsWith(kind) ? [each.slice(kind.length).toLowerCase()] : [],
      ),
    )
  return {
    fingerprintSha256: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    serial: leaf.serialNumber.toLowerCase(),
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    dnsNames: of('DNS:'),
    ipAddresses: of('IP Address:'),
    keyAlgorithm: algorithmOf(leaf),
    notBefore,
    notAfter,
  }
}

/** PostgreSQL has no year 0, and a certificate none behind 9999. */
function isMoment(at: Date): boolean {
  return at.getUTCFullYear() >= 1 && at.getUTCFullYear() <= 9999
}

function distinct(names: readonly string[]): readonly string[] {
  return [...new Set(names.map(storable))].toSorted().slice(0, most.names)
}

function oneLine(name: string | undefined): string {
  return storable((name ?? '').replaceAll('\n', ', '))
}

/** A text as it can be stored, whatever is in it: JSON of PostgreSQL has neither NUL nor half a character. */
function storable(text: string): string {
  return text.slice(0, most.text).toWellFormed().replaceAll('\0', '\ufffd')
}

const curves: Readonly<Record<string, string>> = {
  prime256v1: 'ECDSA_P256',
  secp384r1: 'ECDSA_P384',
  secp521r1: 'ECDSA_P521',
}

function algorithmOf(leaf: X509Certificate): string | null {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = publicKeyOf(leaf) ?? {}
  if (type === 'rsa') return `RSA_${details?.modulusLength ?? 0}`
  if (type === 'ec') return curves[details?.namedCurve ?? ''] ?? details?.namedCurve ?? null
  return type?.toUpperCase() ?? null
}

/** OpenSSL reads certificates of keys that it does not know, and says so only when it is asked for the key. */
function publicKeyOf(leaf: X509Certificate): KeyObject | undefined {
  try {
    return leaf.publicKey
  } catch {
    return undefined
  }
}
