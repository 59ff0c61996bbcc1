import Type from 'typebox'
import { closed } from '../../shared/schema.ts'
import { hostSpelling } from '../../shared/spelling.ts'
import { within } from '../../tenants/domains/ownership.ts'
import { ipBytes, ipText } from '../../x509/names/ip.ts'
import { AcmeProblem } from '../problem.ts'

/** A name as ACME has it (RFC 8555 7.1.3, RFC 8738 3); of a DNS name with `*.` in front of a wildcard. */
export const Identifier = closed({
  type: Type.String({ maxLength: 32 }),
  value: Type.String({ minLength: 1, maxLength: 255 }),
})
export type Identifier = Type.Static<typeof Identifier>

/** Each name once, in the one spelling that it has here. Throws unsupportedIdentifier. */
export function knownIdentifiers(asked: readonly Identifier[]): readonly Identifier[] {
  const known = asked.map(({ type, value }) => {
    if (type === 'dns') return { type, value: hostSpelling(value) }
    const octets = type === 'ip' ? ipBytes(value) : undefined
    const text = octets && ipText(octets)
    if (text !== undefined) return { type, value: text }
    const what = `${type.slice(0, 32)} ${value.slice(0, 80)}`
    throw new AcmeProblem(
      'unsupportedIdentifier',
      `${what} is neither a dns name nor an ip address`,
    )
  })
  return [...new Map(known.map((one) => [keyOf(one), one])).values()]
}

/** Identifiers as the names that certificates have. */
export function certificateNames(identifiers: readonly Identifier[]) {
  const of = (wanted: string) =>
    identifiers.flatMap(({ type, value }) => (type === wanted ? [value] : []))
  return { dnsNames: of('dns'), ipAddresses: of('ip') }
}

/** Whether a certificate request names these and no others: DNS names and addresses, and nothing of another kind. */
export function areNamedBy(
  identifiers: readonly Identifier[],
  names: {
    readonly dnsNames: readonly string[]
    readonly ipAddresses: readonly string[]
    readonly emailAddresses: readonly string[]
    readonly uris: readonly string[]
  },
): boolean {
  if (names.emailAddresses.length > 0 || names.uris.length > 0) return false
  const asked = knownIdentifiers([
    ...names.dnsNames.map((value) => ({ type: 'dns', value })),
    ...names.ipAddresses.map((value) => ({ type: 'ip', value })),
  ])
  const keys = new Set(asked.map(keyOf))
  return keys.size === identifiers.length && identifiers.every((one) => keys.has(keyOf(one)))
}

/** Whether a key that is narrowed to these domains may order the name; none: it is not narrowed. */
export function isWithinNames({ type, value }: Identifier, names: readonly string[]): boolean {
  if (names.length === 0) return true
  const name = value.replace(/^\*\./, '')
  return type === 'dns' && names.some((domain) => within(name, domain))
}

/** Whether a certificate and identifiers have a name in common (RFC 9773 5). */
export function sharesName(
  identifiers: readonly Identifier[],
  {
    dnsNames,
    ipAddresses,
  }: { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] },
): boolean {
  const held = new Set([...dnsNames, ...ipAddresses])
  return identifiers.some(({ value }) => held.has(value))
}

function keyOf({ type, value }: Identifier): string {
  return `${type}:${value}`
}
