import { tags } from '../der/encoding.ts'
import { oids } from '../der/oids.ts'

/** The attributes we write in a subject; absent means not stated. Lists are in the order in which they are encoded,
 *  the most general first. */
export type DistinguishedName = {
  readonly domainComponents?: readonly string[]
  readonly commonName?: string
  readonly organization?: string
  /** The first of them. */
  readonly organizationalUnit?: string
  /** All of them, where there are several. */
  readonly organizationalUnits?: readonly string[]
  readonly country?: string
  readonly locality?: string
  readonly state?: string
  readonly street?: string
  readonly title?: string
  readonly givenName?: string
  readonly surname?: string
  readonly userId?: string
  readonly serialNumber?: string
  readonly emailAddress?: string
}

type Kind = 'printable' | 'utf8' | 'ia5'

/** An attribute by the field that holds it, what it is called in text (RFC 4514 3), its type, its upper bound in characters,
 *  and its string type. */
export type Attribute = readonly [
  field: keyof Omit<DistinguishedName, 'organizationalUnits'>,
  short: string,
  type: string,
  max: number,
  Kind,
]

/** In the order in which they are written. Upper bounds of RFC 5280 appendix A; where it has none, or thousands: of names of
 *  people ours, a label's of a domain, RFC 1274's of a userid. String types: RFC 5280 4.1.2.4, RFC 4519 2.4 and 2.39. */
export const attributes: readonly Attribute[] = [
  ['domainComponents', 'DC', oids.domainComponent, 63, 'ia5'],
  ['country', 'C', oids.country, 2, 'printable'],
  ['state', 'ST', oids.state, 128, 'utf8'],
  ['locality', 'L', oids.locality, 128, 'utf8'],
  ['street', 'STREET', oids.street, 128, 'utf8'],
  ['organization', 'O', oids.organization, 64, 'utf8'],
  ['organizationalUnit', 'OU', oids.organizationalUnit, 64, 'utf8'],
  ['title', 'title', oids.title, 64, 'utf8'],
  ['givenName', 'GN', oids.givenName, 128, 'utf8'],
  ['surname', 'SN', oids.surname, 128, 'utf8'],
  ['commonName', 'CN', oids.commonName, 64, 'utf8'],
  ['userId', 'UID', oids.userId, 256, 'utf8'],
  ['serialNumber', 'serialNumber', oids.serialNumber, 64, 'printable'],
  ['emailAddress', 'emailAddress', oids.emailAddress, 255, 'ia5'],
]

/** How many of them a name has at most. */
const mostOfAKind = 16

/** String types by what they may hold. */
export const stringKinds = {
  printable: { tag: tags.printableString, allowed: /^[A-Za-z0-9 '()+,\-./:=?]*$/ },
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  utf8: { tag: tags.utf8String, allowed: /^[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*$/u },
  ia5: { tag: tags.ia5String, allowed: /^[\x20-\x7e]*$/ },
} as const

/** What a name states of an attribute, in order. */
export function valuesOf(name: DistinguishedName, field: Attribute[0]): readonly string[] {
  if (field === 'domainComponents') return name.domainComponents ?? []
  if (field === 'organizationalUnit' && name.organizationalUnits) return name.organizationalUnits
  const value = name[field]
  return value === undefined ? [] : [value]
}

/** Why each attribute cannot be written, all together; empty when the name is good. */
export function subjectFaults(name: DistinguishedName): readonly string[] {
  const { organizationalUnit: unit, organizationalUnits: units } = name
  const twoWords = unit !== undefined && units !== undefined && unit !== units[0]
  return [
    ...(twoWords
      ? ['organizationalUnit is not the first of organizationalUnits; leave it out']
      : []),
    ...attributes.flatMap((attribute) => {
      const values = valuesOf(name, attribute[0])
      if (values.length > mostOfAKind)
        return [`${attribute[0]} has more than ${mostOfAKind} values`]
      return values.flatMap((value) => valueFault(attribute, value) ?? [])
    }),
  ]
}

function valueFault([field, , , max, kind]: Attribute, value: string): string | undefined {
  if (value.trim() === '') return `${field} is empty; leave it out`
  if ([...value].length > max) return `${field} is longer than ${max} characters`
  if (field === 'country' && !/^[A-Z]{2}$/.test(value))
    return 'country is not two capital letters (ISO 3166)'
  if (field === 'domainComponents' && !/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/.test(value))
    return 'domainComponents are labels of a domain, one each'
  return stringKinds[kind].allowed.test(value)
    ? undefined
    : `${field} has characters it cannot carry`
}
