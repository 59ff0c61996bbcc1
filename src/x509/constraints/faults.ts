import type { AltNames } from '../names/altnames.ts'
import type { DistinguishedName } from '../names/attributes.ts'
import { encodeName, rdnsOf, readName } from '../names/distinguished.ts'
import { bareHost, inRange, ipBytes, rangeBytes } from '../names/ip.ts'
import type { NameConstraints } from './subtrees.ts'

/** A name that may not stand, as a JSON Pointer into `{ subject, ...altNames }`, and why. */
export type NameFault = { readonly field: string; readonly message: string }

type Kind = 'dnsNames' | 'ipRanges' | 'emailAddresses' | 'uriHosts'
type Question = {
  readonly kind: Kind
  readonly field: string
  readonly name: string
  readonly within: (name: string, space: string) => boolean
  /** Excluding is wider than permitting: a wildcard must not cover an excluded name. */
  readonly touches: (name: string, space: string) => boolean
}

/** Why these names may not stand under an authority with `constraints`, all together. A name that is
 *  excluded is refused even if also permitted; a kind with permitted spaces must lie in one of them.
 *  Along a chain each authority's constraints hold, so pass them all (RFC 5280 4.2.1.10, 6.1.4 (g)). */
export function constraintFaults(
  altNames: AltNames,
  subject: DistinguishedName | Buffer,
  ...constraints: readonly NameConstraints[]
): readonly NameFault[] {
  if (constraints.length === 0) return []
  const der = Buffer.isBuffer(subject) ? subject : encodeName(subject)
  const all = questions(altNames, Buffer.isBuffer(subject) ? readName(der) : subject)
  return constraints.flatMap((one) => [
    ...all.flatMap((question) => nameFault(question, one) ?? []),
    ...directoryFaults(der, one),
  ])
}

/** The same for an authority's own names: its commonName is no host, so only its alternative names, the
 *  directory name and the mail address in it are judged (RFC 5280 6.1.3 (b)). */
export function authorityFaults(
  subject: Buffer,
  altNames: AltNames,
  ...constraints: readonly NameConstraints[]
): readonly NameFault[] {
  const { commonName, ...named } = readName(subject)
  const all = questions(altNames, named)
  return constraints.flatMap((one) => [
    ...all.flatMap((question) => nameFault(question, one) ?? []),
    ...directoryFaults(subject, one),
  ])
}

function questions(altNames: AltNames, subject: DistinguishedName): readonly Question[] {
  const { dnsNames, ipAddresses, emailAddresses, uris } = altNames
  const { emailAddress, commonName = '' } = subject
  // Verifiers fall back to the subject when there is no alternative name of the kind.
  const mails =
    emailAddresses.length === 0 && emailAddress
      ? [mailQuestion(emailAddress)]
      : emailAddresses.map((name, i) =>
          ask('emailAddresses', `/emailAddresses/${i}`, { name, within: emailWithin }),
        )
  const hosts =
    dnsNames.length === 0 && hostLike.test(commonName)
      ? [hostQuestion('/subject/commonName', commonName)]
      : dnsNames.map((name, i) => hostQuestion(`/dnsNames/${i}`, name))
  return [
    ...hosts,
    ...ipAddresses.map((name, i) =>
      ask('ipRanges', `/ipAddresses/${i}`, { name, within: ipWithin }),
    ),
    ...mails,
    ...uris.map((name, i) =>
      ask('uriHosts', `/uris/${i}`, { name, within: uriWithin, touches: uriTouches }),
    ),
  ]
}

const hostLike = /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+$/i

function hostQuestion(field: string, name: string): Question {
  return ask('dnsNames', field, { name, within: dnsWithin, touches: dnsTouches })
}

function mailQuestion(name: string): Question {
  return ask('emailAddresses', '/subject/emailAddress', { name, within: emailWithin })
}

function ask(
  kind: Kind,
  field: string,
  { name, within, touches = within }: Pick<Question, 'name' | 'within'> & Partial<Question>,
): Question {
  return { kind, field, name, within, touches }
}

function nameFault(question: Question, constraints: NameConstraints): NameFault | undefined {
  const { kind, field, name, within, touches } = question
  const excluding = constraints.excluded[kind].find((space) => touches(name, space))
  const holds = "by the authority's name constraints"
  if (excluding !== undefined)
    return { field, message: `${name} is excluded ${holds} (${excluding || 'everything'})` }
  const permitted = constraints.permitted[kind]
  if (permitted.length === 0 || permitted.some((space) => within(name, space))) return undefined
  return { field, message: `${name} is not permitted ${holds} (${permitted.join(', ')})` }
}

/** `example.com` holds itself and all below; with a leading dot only what is below. */
function dnsWithin(name: string, space: string): boolean {
  const [host, base] = [name.toLowerCase(), space.toLowerCase()]
  if (base === '') return true
  if (base.startsWith('.')) return host.endsWith(base) && host.length > base.length
  return host === base || host.endsWith(`.${base}`)
}

/** *.example.com also answers for the excluded secret.example.com, though it is not below it. */
function dnsTouches(name: string, space: string): boolean {
  if (dnsWithin(name, space)) return true
  const base = space.toLowerCase().replace(/^\./, '')
  return name.startsWith('*.') && base.slice(base.indexOf('.') + 1) === name.slice(2).toLowerCase()
}

function ipWithin(name: string, space: string): boolean {
  const [address, range] = [ipBytes(name), rangeBytes(space)]
  return address !== undefined && range !== undefined && inRange(address, range)
}

/** `user@host` is one mailbox, `host` all of that host, `.domain` all hosts below. */
function emailWithin(name: string, space: string): boolean {
  const cut = name.lastIndexOf('@')
  const at = space.lastIndexOf('@')
  if (at >= 0 && name.slice(0, cut) !== space.slice(0, at)) return false
  return hostWithin(name.slice(cut + 1), space.slice(at + 1))
}

function uriWithin(name: string, space: string): boolean {
  return hostWithin(hostOf(name), space)
}

/** A URI without a host name cannot be judged, and so must be refused (RFC 5280 4.2.1.10). */
function uriTouches(name: string, space: string): boolean {
  const host = hostOf(name)
  return host === '' || hostWithin(host, space)
}

/** The host name of a URI; empty when there is none or it is an address. */
function hostOf(uri: string): string {
  const host = URL.parse(uri)?.hostname ?? ''
  return ipBytes(bareHost(host)) ? '' : host
}

function hostWithin(name: string, space: string): boolean {
  const [host, base] = [name.toLowerCase(), space.toLowerCase()]
  if (host === '') return false
  if (base === '') return true
  return base.startsWith('.') ? host.endsWith(base) && host.length > base.length : host === base
}

/** A subject lies within a directory name when it begins with its RDNs; an empty one is free. */
function directoryFaults(
  subject: Buffer,
  { permitted, excluded }: NameConstraints,
): readonly NameFault[] {
  const spaces = [...permitted.directoryNames, ...excluded.directoryNames]
  const rdns = spaces.length > 0 ? rdnsOf(subject) : []
  if (rdns.length === 0) return []
  const within = (space: Buffer) => rdnsOf(space).every((rdn, i) => rdn === rdns[i])
  const fault = (message: string) => [{ field: '/subject', message }]
  if (excluded.directoryNames.some(within))
    return fault("The subject is excluded by the authority's name constraints")
  return permitted.directoryNames.length === 0 || permitted.directoryNames.some(within)
    ? []
    : fault("The subject is not permitted by the authority's name constraints")
}
