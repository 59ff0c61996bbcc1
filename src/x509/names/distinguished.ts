import { isUtf8 } from 'node:buffer'
import { folded } from '../../shared/spelling.ts'
import { type Element, malformed, readDer, sequence, setOf, tags, tlv } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, encodedOf, expectTag, sequenceOf } from '../der/fields.ts'
import { oid, oidOf, oids } from '../der/oids.ts'

/** The attributes we write in a subject; absent means not stated. */
export type DistinguishedName = {
  readonly commonName?: string
  readonly organization?: string
  readonly organizationalUnit?: string
  readonly country?: string
  readonly locality?: string
  readonly state?: string
  readonly serialNumber?: string
  readonly emailAddress?: string
}

/** An attribute we do not write: its type, its text, and its value in DER. */
export type OtherAttribute = { readonly oid: string; readonly text: string; readonly der: Buffer }

/** A name as read: known attributes once, repeated and foreign ones in `others`. */
export type Name = DistinguishedName & { readonly others: readonly OtherAttribute[] }

type Kind = 'printable' | 'utf8' | 'ia5'
type Attribute = readonly [keyof DistinguishedName, short: string, type: string, max: number, Kind]

/** Upper bounds of RFC 5280 appendix A, in characters, in the order the attributes are written. */
const attributes: readonly Attribute[] = [
  ['country', 'C', oids.country, 2, 'printable'],
  ['state', 'ST', oids.state, 128, 'utf8'],
  ['locality', 'L', oids.locality, 128, 'utf8'],
  ['organization', 'O', oids.organization, 64, 'utf8'],
  ['organizationalUnit', 'OU', oids.organizationalUnit, 64, 'utf8'],
  ['commonName', 'CN', oids.commonName, 64, 'utf8'],
  ['serialNumber', 'serialNumber', oids.serialNumber, 64, 'printable'],
  ['emailAddress', 'emailAddress', oids.emailAddress, 255, 'ia5'],
]

const kinds = {
  printable: { tag: tags.printableString, allowed: /^[A-Za-z0-9 '()+,\-./:=?]*$/ },
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  utf8: { tag: tags.utf8String, allowed: /^[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*$/u },
  ia5: { tag: tags.ia5String, allowed: /^[\x20-\x7e]*$/ },
} as const

/** Why each attribute cannot be written, all together; empty when the name is good. */
export function subjectFaults(name: DistinguishedName): readonly string[] {
  return attributes.flatMap(([field, , , max, kind]) => {
    const value = name[field]
    if (value === undefined) return []
    if (value.trim() === '') return [`${field} is empty; leave it out`]
    if ([...value].length > max) return [`${field} is longer than ${max} characters`]
    if (field === 'country' && !/^[A-Z]{2}$/.test(value))
      return ['country is not two capital letters (ISO 3166)']
    return kinds[kind].allowed.test(value) ? [] : [`${field} has characters it cannot carry`]
  })
}

/** Name in DER: PrintableString for country and serialNumber, IA5String for emailAddress, else
 *  UTF8String, one attribute to an RDN. RFC 5280 4.1.2.4 and appendix A. Throws `name-invalid`. */
export function encodeName(name: DistinguishedName): Buffer {
  const faults = subjectFaults(name)
  if (faults.length > 0) throw new X509Error('name-invalid', `${faults.join('; ')}`)
  const rdns: Buffer[] = []
  for (const [field, , type, , kind] of attributes) {
    const value = name[field]
    if (value === undefined) continue
    rdns.push(setOf(sequence(oid(type), tlv(kinds[kind].tag, Buffer.from(value, 'utf8')))))
  }
  return sequence(...rdns)
}

/** A Name below another one: the RDNs of `space`, then those of `name`. */
export function joined(space: Buffer, name: Buffer): Buffer {
  return sequence(...[space, name].flatMap((der) => readDer(der).children.map(encodedOf)))
}

/** The empty Name. */
export const emptyName: Buffer = sequence()

/** Reads a Name in DER. */
export function readName(der: Buffer): Name {
  return distinguishedNameOf(readDer(der))
}

/** Reads a Name element: any number of RDNs, any string type of DirectoryString. */
export function distinguishedNameOf(element: Element | undefined): Name {
  const known: Record<string, string> = {}
  const others: OtherAttribute[] = []
  for (const rdn of sequenceOf(element, 'a name')) {
    if (expectTag(rdn, tags.set, 'an RDN').children.length === 0) throw malformed('an empty RDN')
    for (const pair of rdn.children) {
      const [type, value, ...more] = sequenceOf(pair, 'an attribute')
      if (value === undefined || more.length > 0) throw malformed('an attribute of a name')
      const dotted = oidOf(type, 'an attribute type')
      const field = attributes.find((row) => row[2] === dotted)?.[0]
      const text = textOf(value)
      // It would read as another name where text ends at NUL, and cannot be stored.
      if (text?.includes('\0') || text?.isWellFormed() === false)
        throw malformed('a name with NUL or half a character in it')
      if (field === undefined || text === undefined || field in known)
        others.push({ oid: dotted, text: text ?? '', der: encodedOf(value) })
      else known[field] = text
    }
  }
  return { ...known, others }
}

/** Text of any ASN.1 string type; undefined for something else. */
function textOf(value: Element): string | undefined {
  const contents = contentsOf(value)
  switch (value.tag) {
    case tags.utf8String:
      if (!isUtf8(contents)) throw malformed('a UTF8String that is not UTF-8')
      return contents.toString('utf8')
    case tags.printableString:
    case tags.ia5String:
    case tags.numericString:
    case tags.visibleString:
    case tags.teletexString:
      return contents.toString('latin1')
    case tags.bmpString:
      if (contents.length % 2 !== 0) throw malformed('a BMPString of odd length')
      return Buffer.from(contents).swap16().toString('utf16le')
    default:
      return undefined
  }
}

/** Each RDN of a Name in a form to compare: case folded, spaces collapsed (RFC 5280 7.1). */
export function rdnsOf(der: Buffer): readonly string[] {
  return readDer(der).children.map((rdn) => {
    const { others, ...known } = distinguishedNameOf(readDer(sequence(encodedOf(rdn))))
    const pairs = [
      ...Object.entries(known),
      ...others.map(({ oid: type, text, der: value }) => [type, text || value.toString('hex')]),
    ]
    return pairs
      .map(([type, text]) => `${type}=${folded(text ?? '')}`)
      .sort()
      .join('+')
  })
}

/** Whether two Names are one as RFC 5280 7.1 compares them, whatever string types they are written in. */
export function sameName(one: Buffer, other: Buffer): boolean {
  const [a, b] = [rdnsOf(one), rdnsOf(other)]
  return a.length === b.length && a.every((rdn, i) => rdn === b[i])
}

const otherShort: Readonly<Record<string, string>> = {
  [oids.domainComponent]: 'DC',
  [oids.userId]: 'UID',
  [oids.street]: 'STREET',
  [oids.givenName]: 'GN',
  [oids.surname]: 'SN',
  [oids.title]: 'title',
  ...Object.fromEntries(attributes.map(([, short, type]) => [type, short])),
}

/** What an attribute of a name is called (RFC 4514 3), with its type. */
export function attributeName(type: string): string {
  const short = otherShort[type]
  return short === undefined ? type : `${short} (${type})`
}

/** The string form of RFC 4514: most specific first, escaped, foreign types as #hex. */
export function formatName(name: DistinguishedName | Name): string {
  const others = 'others' in name ? name.others : []
  const written = attributes.flatMap(([field, short]) => {
    const value = name[field]
    return value === undefined ? [] : [`${short}=${escaped(value)}`]
  })
  const foreign = others.map(({ oid: type, text, der }) => {
    const short = otherShort[type]
    return short === undefined ? `${type}=#${der.toString('hex')}` : `${short}=${escaped(text)}`
  })
  return [...foreign, ...written].reverse().join(',')
}

/** RFC 4514 2.4. */
function escaped(value: string): string {
  return value
    .replace(/[\\"+,;<>]/g, '\\$&')
    .replace(/^[ #]/, '\\$&')
    .replace(/ $/, '\\ ')
    .replaceAll('\0', '\\00')
}
