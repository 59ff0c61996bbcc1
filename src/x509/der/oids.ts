import { type Element, malformed, tags, tlv } from './encoding.ts'
import { X509Error } from './errors.ts'
import { expectTag } from './fields.ts'

/** Object identifiers by the name their specification gives them. */
export const oids = {
  commonName: '2.5.4.3',
  surname: '2.5.4.4',
  serialNumber: '2.5.4.5',
  country: '2.5.4.6',
  locality: '2.5.4.7',
  state: '2.5.4.8',
  street: '2.5.4.9',
  organization: '2.5.4.10',
  organizationalUnit: '2.5.4.11',
  title: '2.5.4.12',
  givenName: '2.5.4.42',
  domainComponent: '0.9.2342.19200300.100.1.25',
  userId: '0.9.2342.19200300.100.1.1',
  emailAddress: '1.2.840.113549.1.9.1',

  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  issuerAltName: '2.5.29.18',
  basicConstraints: '2.5.29.19',
  crlNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  deltaCrlIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extendedKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  tlsFeature: '1.3.6.1.5.5.7.1.24',
  acmeIdentifier: '1.3.6.1.5.5.7.1.31',

  anyExtendedKeyUsage: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ocspSigning: '1.3.6.1.5.5.7.3.9',
  ocsp: '1.3.6.1.5.5.7.48.1',
  ocspBasic: '1.3.6.1.5.5.7.48.1.1',
  ocspNonce: '1.3.6.1.5.5.7.48.1.2',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
  caIssuers: '1.3.6.1.5.5.7.48.2',

  ecPublicKey: '1.2.840.10045.2.1',
  p256: '1.2.840.10045.3.1.7',
  p384: '1.3.132.0.34',
  p521: '1.3.132.0.35',
  ecdsaSha1: '1.2.840.10045.4.1',
  ecdsaSha256: '1.2.840.10045.4.3.2',
  ecdsaSha384: '1.2.840.10045.4.3.3',
  ecdsaSha512: '1.2.840.10045.4.3.4',
  rsaEncryption: '1.2.840.113549.1.1.1',
  rsaSha1: '1.2.840.113549.1.1.5',
  rsaSha224: '1.2.840.113549.1.1.14',
  rsaMd5: '1.2.840.113549.1.1.4',
  rsassaPss: '1.2.840.113549.1.1.10',
  mgf1: '1.2.840.113549.1.1.8',
  rsaSha256: '1.2.840.113549.1.1.11',
  rsaSha384: '1.2.840.113549.1.1.12',
  rsaSha512: '1.2.840.113549.1.1.13',
  ed25519: '1.3.101.112',
  ed448: '1.3.101.113',
  dsaSha1: '1.2.840.10040.4.3',
  dsaSha256: '2.16.840.1.101.3.4.3.2',
  md5: '1.2.840.113549.2.5',
  sha1: '1.3.14.3.2.26',
  sha224: '2.16.840.1.101.3.4.2.4',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',

  extensionRequest: '1.2.840.113549.1.9.14',
  challengePassword: '1.2.840.113549.1.9.7',
  unstructuredName: '1.2.840.113549.1.9.2',
  microsoftExtensions: '1.3.6.1.4.1.311.2.1.14',
  microsoftCspProvider: '1.3.6.1.4.1.311.13.2.2',
  microsoftOsVersion: '1.3.6.1.4.1.311.13.2.3',
  microsoftClientInfo: '1.3.6.1.4.1.311.21.20',

  pkcs7Data: '1.2.840.113549.1.7.1',
  pkcs7SignedData: '1.2.840.113549.1.7.2',
  pkcs7EnvelopedData: '1.2.840.113549.1.7.3',
  pkcs7EncryptedData: '1.2.840.113549.1.7.6',
  keyBag: '1.2.840.113549.1.12.10.1.1',
  safeContentsBag: '1.2.840.113549.1.12.10.1.6',
  pkcs8ShroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  javaTrustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  scrypt: '1.3.6.1.4.1.11591.4.11',
  pbmac1: '1.2.840.113549.1.5.14',
  hmacSha1: '1.2.840.113549.2.7',
  hmacSha224: '1.2.840.113549.2.8',
  hmacSha256: '1.2.840.113549.2.9',
  hmacSha384: '1.2.840.113549.2.10',
  hmacSha512: '1.2.840.113549.2.11',
  aes128Cbc: '2.16.840.1.101.3.4.1.2',
  aes192Cbc: '2.16.840.1.101.3.4.1.22',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  desEde3Cbc: '1.2.840.113549.3.7',
  pbeMd5Des: '1.2.840.113549.1.5.3',
  pbeSha1Des: '1.2.840.113549.1.5.10',
  pbeSha1Rc4128: '1.2.840.113549.1.12.1.1',
  pbeSha1Rc440: '1.2.840.113549.1.12.1.2',
  pbeSha1TripleDes: '1.2.840.113549.1.12.1.3',
  pbeSha1DoubleDes: '1.2.840.113549.1.12.1.4',
  pbeSha1Rc2128: '1.2.840.113549.1.12.1.5',
  pbeSha1Rc240: '1.2.840.113549.1.12.1.6',
} as const

const encoded = new Map<string, Buffer>(
  Object.values(oids).map((dotted) => [dotted, tlv(tags.oid, base128(dotted))]),
)
const known = new Map<string, string>(
  Object.values(oids).map((dotted) => [base128(dotted).toString('latin1'), dotted]),
)

/** OBJECT IDENTIFIER from its dotted form; throws `value-invalid` if it is not one (X.690 8.19). */
export function oid(dotted: string): Buffer {
  return encoded.get(dotted) ?? tlv(tags.oid, base128(dotted))
}

function base128(dotted: string): Buffer {
  if (!/^[012](\.(0|[1-9]\d{0,14})){1,30}$/.test(dotted))
    throw new X509Error('value-invalid', `${dotted} is not an object identifier`)
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  if (first < 2 && second > 39)
    throw new X509Error('value-invalid', `${dotted} is not an object identifier`)
  const octets: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    const digits = [arc % 128]
    for (let more = Math.floor(arc / 128); more > 0; more = Math.floor(more / 128))
      digits.unshift(0x80 | (more % 128))
    octets.push(...digits)
  }
  return Buffer.from(octets)
}

/** The dotted form of an OBJECT IDENTIFIER element. */
export function oidOf(element: Element | undefined, what: string): string {
  const { der, body, end } = expectTag(element, tags.oid, what)
  return known.get(der.toString('latin1', body, end)) ?? dottedOf(der.subarray(body, end))
}

function dottedOf(contents: Buffer): string {
  if (contents.length === 0 || contents.length > 64) throw malformed('an object identifier')
  const arcs: number[] = []
  let arc = 0
  let fresh = true
  for (const octet of contents) {
    if (fresh && octet === 0x80) throw malformed('an object identifier with a padded arc')
    arc = arc * 128 + (octet & 0x7f)
    if (arc > Number.MAX_SAFE_INTEGER) throw malformed('an object identifier with a huge arc')
    fresh = octet < 0x80
    if (!fresh) continue
    arcs.push(arc)
    arc = 0
  }
  if (!fresh) throw malformed('an object identifier that breaks off')
  const [joint = 0, ...rest] = arcs
  const first = Math.min(2, Math.floor(joint / 40))
  return [first, joint - first * 40, ...rest].join('.')
}
