import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import { ipBytes } from '../../x509/names/ip.ts'

/** What a row says of its certificate. */
export type RowOfCertificate = {
  readonly profile: string
  readonly serial: string
  readonly subject: unknown
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
  readonly keyAlgorithm: string
  readonly spkiSha256: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly fingerprintSha256: string | null
}

/** Names of what the row and the certificate do not agree on; none when all is as recorded. It is read
 *  by OpenSSL, not by the code that wrote it, so that one mistake is not made twice. */
export function recordMismatches(
  row: RowOfCertificate,
  der: Uint8Array,
  issuer: X509Certificate,
): readonly string[] {
  const read = parsed(der)
  if (!read) return ['der']
  const { publicKey } = read
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ['serial', row.serial, read.serialNumber.toLowerCase()],
    ['notBefore', row.notBefore.getTime(), read.validFromDate.getTime()],
    ['notAfter', row.notAfter.getTime(), read.validToDate.getTime()],
    ['fingerprintSha256', row.fingerprintSha256, sha256(read.raw)],
    ['spkiSha256', row.spkiSha256, sha256(publicKey.export({ type: 'spki', format: 'der' }))],
    ['keyAlgorithm', row.keyAlgorithm, algorithmOf(publicKey)],
    ['subject', subjectIn(row.subject), subjectOf(read)],
    ['names', namesIn(row), namesOf(read)],
    ['keyUsage', bitsFor(row), keyUsageOf(read.raw)],
    ['extendedKeyUsage', purposes.get(row.profile), (read.keyUsage ?? []).join()],
    ['basicConstraints', false, read.ca],
    ['signature', true, read.checkIssued(issuer) && read.verify(issuer.publicKey)],
  ]
  return facts.flatMap(([name, recorded, found]) => (recorded === found ? [] : [name]))
}

function parsed(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der)
  } catch {
    return undefined
  }
}

function sha256(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex')
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string | undefined {
  const { namedCurve, modulusLength } = asymmetricKeyDetails ?? {}
  if (asymmetricKeyType === 'ed25519') return 'ED25519'
  if (asymmetricKeyType === 'rsa') return `RSA_${modulusLength}`
  if (namedCurve === 'prime256v1') return 'ECDSA_P256'
  return namedCurve === 'secp384r1' ? 'ECDSA_P384' : undefined
}

/** Our words for the attributes of a subject, beside OpenSSL's. */
const attributes = [
  ['domainComponents', 'DC'],
  ['commonName', 'CN'],
  ['organization', 'O'],
  ['organizationalUnit', 'OU'],
  ['country', 'C'],
  ['locality', 'L'],
  ['state', 'ST'],
  ['street', 'street'],
  ['title', 'title'],
  ['givenName', 'GN'],
  ['surname', 'SN'],
  ['userId', 'UID'],
  ['serialNumber', 'serialNumber'],
] as const

function subjectIn(subject: unknown): string {
  const stated = new Map(
    typeof subject === 'object' && subject !== null ? Object.entries(subject) : [],
  )
  const units = stated.get('organizationalUnits')
  if (units !== undefined) stated.set('organizationalUnit', units)
  return JSON.stringify(attributes.map(([field]) => [stated.get(field) ?? []].flat()))
}

function subjectOf(read: X509Certificate): string {
  const { subject } = read.toLegacyObject()
  const stated = new Map<string, unknown>(Object.entries(subject ?? {}))
  return JSON.stringify(attributes.map(([, short]) => [stated.get(short) ?? []].flat()))
}

function namesIn(row: RowOfCertificate): string {
  const all = [
    ...row.dnsNames.map((name) => `DNS:${name}`),
    ...row.ipAddresses.map((address) => `IP:${octetsOf(address)}`),
    ...row.emailAddresses.map((mail) => `email:${mail}`),
    ...row.uris.map((uri) => `URI:${uri}`),
  ]
  return all.toSorted().join('\n')
}

/** `DNS:a.test, IP Address:10.0.0.1, URI:"with, comma"`, as node writes OpenSSL's answer. */
function namesOf({ subjectAltName = '' }: X509Certificate): string {
  const found = subjectAltName.matchAll(/([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)
  const all = [...found].map(([, kind = '', text = '']) => {
    const name = text.startsWith('"') ? String(JSON.parse(text)) : text
    return kind === 'IP Address' ? `IP:${octetsOf(name)}` : `${kind}:${name}`
  })
  return all.toSorted().join('\n')
}

/** An address has many spellings (RFC 5952). */
function octetsOf(address: string): string {
  return ipBytes(address)?.toString('hex') ?? address
}

const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'
const purposes = new Map([
  ['server', serverAuth],
  ['client', clientAuth],
  ['peer', `${serverAuth},${clientAuth}`],
])

/** Critical keyUsage: digitalSignature, and keyEncipherment for RSA keys of servers. */
function bitsFor({ profile, keyAlgorithm }: RowOfCertificate): string {
  return keyAlgorithm.startsWith('RSA') && profile !== 'client' ? '030205a0' : '03020780'
}

/** Node does not tell keyUsage (2.5.29.15): the one extension of that name, critical, of one octet. */
function keyUsageOf(raw: Buffer): string | undefined {
  const [, value, ...more] = raw.toString('hex').split('0603551d0f0101ff0404')
  return more.length === 0 ? value?.slice(0, 8) : undefined
}
