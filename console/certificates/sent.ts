/** Certificates and a key as they are sent: texts, empty where nothing is. */
export type Sent = {
  readonly certificate: string
  readonly privateKey: string
  /** base64 */
  readonly pkcs12: string
}

/** Nothing is chosen yet. */
export const nothingSent: Sent = { certificate: '', privateKey: '', pkcs12: '' }

/** What a file is, by what is in it; whatever is none of these is a text, of which the service says what it is. */
export type Found =
  | { readonly kind: 'certificate' | 'privateKey'; readonly pem: string }
  | { readonly kind: 'pkcs12'; readonly base64: string }

/** No certificate with its chain, and no store, is larger (the bounds of the API). */
export const mostOctets = 192 * 1024

/** What the octets of a file are: PEM, or DER that is put in PEM, or a PKCS#12 store. Texts of Windows may be in UTF-16. */
export function foundIn(octets: Uint8Array): Found {
  if (octets[0] !== 0x30) return otherFound(octets)
  const [outer, inner] = [bodyOf(octets, 0), bodyOf(octets, bodyOf(octets, 0))]
  // RFC 7292 4: PFX ::= SEQUENCE { version 3, … }; an ASN.1 length may be left open (BER).
  if (octets[outer] === 0x02 && octets[outer + 2] === 3) {
    return { kind: 'pkcs12', base64: base64Of(octets) }
  }
  const label = labelOf(octets, outer, inner)
  const kind = label === 'CERTIFICATE' || label === 'PKCS7' ? 'certificate' : 'privateKey'
  return { kind, pem: pemOf(label, octets) }
}

/** By its first members: a certificate begins with another sequence, a key with its version (RFC 5958 2, RFC 8017
 *  A.1.2, RFC 5915 3) or with how it is encrypted, a PKCS#7 bundle with what it is. */
function labelOf(octets: Uint8Array, outer: number, inner: number): string {
  if (octets[outer] === 0x06) return 'PKCS7'
  if (octets[outer] === 0x30)
    return octets[inner] === 0x06 ? 'ENCRYPTED PRIVATE KEY' : 'CERTIFICATE'
  if (octets[outer] !== 0x02) return 'CERTIFICATE'
  const next = octets[outer + 3]
  if (next === 0x30) return 'PRIVATE KEY'
  return next === 0x04 ? 'EC PRIVATE KEY' : 'RSA PRIVATE KEY'
}

/** Where the contents of an element begin. */
function bodyOf(octets: Uint8Array, at: number): number {
  const length = octets[at + 1] ?? 0
  return at + 2 + (length > 0x80 ? length & 0x7f : 0)
}

/** A text, or a store of another kind, such as one of Java, which the service calls by its name. */
function otherFound(octets: Uint8Array): Found {
  const text = textOf(octets)
  return text.includes('\0') ? { kind: 'pkcs12', base64: base64Of(octets) } : textFound(text)
}

function textOf(octets: Uint8Array): string {
  const [first, second] = octets
  const isWide = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  const encoding = isWide ? (first === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8'
  return new TextDecoder(encoding).decode(octets)
}

/** A key alone is one; what has certificates may have the key beside them. */
function textFound(text: string): Found {
  const isKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
  const isCertificate = /-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(text)
  return { kind: isKey && !isCertificate ? 'privateKey' : 'certificate', pem: text }
}

function pemOf(label: string, octets: Uint8Array): string {
  const lines = base64Of(octets).replace(/.{64}/g, '$&\n').trimEnd()
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}

function base64Of(octets: Uint8Array): string {
  return btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(''))
}

/** What is sent when a file is added: certificates come together, of keys and stores the last one counts, and a store
 *  comes alone. */
export function withFound(sent: Sent, found: Found): Sent {
  if (found.kind === 'pkcs12') return { ...nothingSent, pkcs12: found.base64 }
  const before = sent.pkcs12 === '' ? sent : nothingSent
  if (found.kind === 'privateKey') return { ...before, privateKey: found.pem }
  if (before.certificate.includes(found.pem.trim())) return before
  const between = before.certificate === '' || before.certificate.endsWith('\n') ? '' : '\n'
  return { ...before, certificate: `${before.certificate}${between}${found.pem}` }
}
