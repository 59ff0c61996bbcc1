import { X509Certificate } from 'node:crypto'
import type { DynamicSecret } from '../listeners/dump.ts'
import { gatewayOf } from '../listeners/find.ts'
import type { PodHoldings } from '../listeners/pods.ts'

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

const most = { text: 1000, names: 100, octets: 256 * 1024 } as const

/** The certificates of a pod's listeners; what cannot be read as one is passed over. OpenSSL reads them: what is served
 *  is of interest however it was written. */
export function holdingsIn({ secrets, chains }: PodHoldings): readonly Holding[] {
  return secrets.flatMap((secret) => {
    const { name = '' } = secret
    const [leaf, ...above] = ofMesh.has(name) ? [] : certificatesIn(secret)
    if (!leaf) return []
    const serving = chains.filter(({ tls }) => tls?.credential === name)
    const names = serving.flatMap(({ serverNames }) =>
      serverNames.length > 0 ? serverNames : ['*'],
    )
    const gateways = serving.flatMap(({ routeName }) => gatewayOf(routeName) ?? [])
    return [
      {
        credential: name.slice(0, most.text),
        ...factsOf(leaf),
        chainLength: above.length,
        servedNames: distinct(names),
        gateways: distinct(gateways),
      },
    ]
  })
}

function certificatesIn({ secret }: DynamicSecret): readonly X509Certificate[] {
  const { inline_bytes: octets, inline_string: plain = '' } =
    secret?.tls_certificate?.certificate_chain ?? {}
  const text = octets === undefined ? plain : Buffer.from(octets, 'base64').toString('latin1')
  if (text.length > most.octets) return []
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const [first] = blocks
  if (first === undefined) return []
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch {
    return []
  }
}

/** What is told of a certificate. */
export function factsOf(leaf: X509Certificate) {
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
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
  }
}

function distinct(names: readonly string[]): readonly string[] {
  return [...new Set(names)].toSorted().slice(0, most.names)
}

function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ').slice(0, most.text)
}

const curves: Readonly<Record<string, string>> = {
  prime256v1: 'ECDSA_P256',
  secp384r1: 'ECDSA_P384',
  secp521r1: 'ECDSA_P521',
}

function algorithmOf({ publicKey }: X509Certificate): string | null {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = publicKey
  if (type === 'rsa') return `RSA_${details?.modulusLength ?? 0}`
  if (type === 'ec') return curves[details?.namedCurve ?? ''] ?? details?.namedCurve ?? null
  return type?.toUpperCase() ?? null
}
