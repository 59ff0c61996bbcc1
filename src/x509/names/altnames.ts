import { domainToASCII, domainToUnicode } from 'node:url'
import { type Element, malformed, readDer, sequence } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { sequenceOf } from '../der/fields.ts'
import { generalNameOf, ia5Name, ipName } from './generalnames.ts'
import { ipBytes } from './ip.ts'

/** What a certificate answers for (RFC 5280 4.2.1.6). */
export type AltNames = {
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
}

/** No names at all. */
export const noAltNames: AltNames = {
  dnsNames: [],
  ipAddresses: [],
  emailAddresses: [],
  uris: [],
}

/** How many names there are. */
export function countAltNames(names: AltNames): number {
  const { dnsNames, ipAddresses, emailAddresses, uris } = names
  return dnsNames.length + ipAddresses.length + emailAddresses.length + uris.length
}

/** Every fault of every name, all together; empty when all may be certified. */
export function altNameFaults(names: AltNames): readonly string[] {
  return [
    ...names.dnsNames.map(dnsNameFault),
    ...names.ipAddresses.map(ipFault),
    ...names.emailAddresses.map(emailFault),
    ...names.uris.map(uriFault),
  ].filter((fault) => fault !== undefined)
}

/** GeneralNames in DER. The caller has asked the faults; only what DER cannot carry is refused
 *  here, with `altname-invalid`. */
export function encodeAltNames(names: AltNames): Buffer {
  return sequence(
    ...names.dnsNames.map((name) => ia5Name('dns', ascii(name))),
    ...names.ipAddresses.map((text) => ipName(address(text))),
    ...names.emailAddresses.map((mail) => ia5Name('email', ascii(mail))),
    ...names.uris.map((uri) => ia5Name('uri', ascii(uri))),
  )
}

function ascii(text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text
  throw new X509Error('altname-invalid', `${JSON.stringify(text)} is not plain ASCII; encode it`)
}

function address(text: string): Buffer {
  const bytes = ipBytes(text)
  if (bytes) return bytes
  throw new X509Error('altname-invalid', `${JSON.stringify(text)} is not an IP address`)
}

/** Alternative names as read: the four kinds, and the names of the kinds we do not use. */
export type ReadAltNames = { readonly names: AltNames; readonly otherKinds: readonly string[] }

/** Reads GeneralNames from DER; empty is malformed (SIZE 1..MAX). */
export function readAltNames(der: Buffer): ReadAltNames {
  return altNamesOf(readDer(der))
}

/** Reads a GeneralNames element. */
function altNamesOf(element: Element | undefined): ReadAltNames {
  const children = sequenceOf(element, 'subjectAltName')
  if (children.length === 0) throw malformed('an empty subjectAltName')
  const found: Record<'dns' | 'ip' | 'email' | 'uri' | 'other', string[]> = {
    dns: [],
    ip: [],
    email: [],
    uri: [],
    other: [],
  }
  for (const child of children) {
    const name = generalNameOf(child)
    if (name.kind === 'directory') found.other.push('directoryName')
    else found[name.kind].push(name.value)
  }
  const { dns, ip, email, uri, other } = found
  const names = { dnsNames: dns, ipAddresses: ip, emailAddresses: email, uris: uri }
  return { names, otherKinds: other }
}

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** Why a dNSName may not be certified, or undefined: LDH labels up to 63, 253 in all, lower case,
 *  true A-labels (RFC 5890), a wildcard only as the whole leftmost label with two labels after it
 *  (RFC 5280 4.2.1.6, RFC 1034 3.5, CA/B BR 7.1.4.2). */
export function dnsNameFault(name: string): string | undefined {
  const at = JSON.stringify(name.slice(0, 260))
  if (name === '' || name.length > 253) return `${at} is not 1 to 253 characters long`
  if (/[A-Z]/.test(name)) return `${at} must be written in lower case`
  if (/[^\x21-\x7e]/.test(name)) return `${at} is not ASCII; write its A-labels (xn--…)`
  if (name.endsWith('.')) return `${at} must not end in a dot`
  if (name.includes('_')) return `${at} has an underscore, which host names cannot have`
  const labels = name.split('.')
  const rest = labels[0] === '*' ? labels.slice(1) : labels
  if (rest.some((part) => part.includes('*')))
    return `${at} may have * only as its whole leftmost label`
  if (rest.length < labels.length && rest.length < 2)
    return `${at} needs at least two labels after the wildcard`
  if (!rest.every((part) => label.test(part)))
    return `${at} has a label that is not 1 to 63 letters, digits and inner hyphens`
  if (/^\d+$/.test(rest.at(-1) ?? '')) return `${at} looks like an IP address; ask for it as one`
  return rest.some((part) => part.slice(2, 4) === '--' && !isALabel(part))
    ? `${at} has a label with hyphens in places 3 and 4 that is not a valid A-label`
    : undefined
}

function isALabel(part: string): boolean {
  if (!part.startsWith('xn--')) return false
  const unicode = domainToUnicode(part)
  return unicode !== '' && unicode !== part && domainToASCII(unicode) === part
}

/** Why an IP address may not be certified, or undefined. */
export function ipFault(text: string): string | undefined {
  return ipBytes(text) ? undefined : `${JSON.stringify(text.slice(0, 60))} is not an IP address`
}

/** Why an rfc822Name may not be certified, or undefined: ASCII local part @ host (RFC 5321 2.3). */
export function emailFault(mail: string): string | undefined {
  const at = JSON.stringify(mail.slice(0, 260))
  const cut = mail.lastIndexOf('@')
  const local = mail.slice(0, Math.max(0, cut))
  const host = mail.slice(cut + 1)
  if (
    cut < 1 ||
    local.length > 64 ||
    !/^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*$/.test(local)
  )
    return `${at} is not an ASCII mail address such as name@example.com`
  return host.startsWith('*') || dnsNameFault(host.toLowerCase())
    ? `${at} does not end in a valid host name`
    : undefined
}

const uuidUrn = /^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Scheme and authority (RFC 3986 3.1, 3.2). */
const uriStart = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i

/** Why a URI may not be certified, or undefined: absolute, with a host name, no user part
 *  (RFC 5280 4.2.1.6), or a UUID in its one spelling (RFC 9562 4), which has no host. Readers of URLs and
 *  of URIs disagree where a host begins and ends, and what escapes in it mean, so it is a host name as it
 *  stands, written so that all of them find that one. */
export function uriFault(uri: string): string | undefined {
  if (uuidUrn.test(uri)) return undefined
  const at = JSON.stringify(uri.slice(0, 260))
  if (uri.length > 2048 || /[^\x21-\x7e]/.test(uri)) return `${at} is not ASCII of at most 2048`
  const [, authority = ''] = uriStart.exec(uri) ?? []
  const parsed = URL.parse(uri)
  if (authority === '' || !parsed?.hostname) return `${at} is not an absolute URI with a host`
  if (authority.includes('@')) return `${at} must not carry a user name or password`
  const host = authority.replace(/:\d+$/, '').toLowerCase()
  return host.startsWith('*') || dnsNameFault(host) || parsed.hostname.toLowerCase() !== host
    ? `${at} has no valid host name where its host stands`
    : undefined
}
