import { isUtf8 } from 'node:buffer'
import { folded } from '../../shared/spelling.ts'
import { type Element, malformed, readDer, sequence, setOf, tags, tlv } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, encodedOf, expectTag, sequenceOf } from '../der/fields.ts'
import { oid, oidOf } from '../der/oids.ts'
import {
  type Attribute,
  attributes,
  type DistinguishedName,
  stringKinds,
  subjectFaults,
  valuesOf,
} from './attributes.ts'

/** An attribute we do not write: its type, its text, and its value in DER. */
export type OtherAttribute = { readonly oid: string; readonly text: string; readonly der: Buffer }

/** A name as read: known attributes once, repeated and foreign ones in `others`. */
export type Name = DistinguishedName & { readonly others: readonly OtherAttribute[] }

/** Name in DER: PrintableString for country and serialNumber, IA5String for emailAddress and domainComponents, else
 *  UTF8String, one attribute to an RDN. RFC 5280 4.1.2.4 and appendix A. Throws `name-invalid`. */
export function encodeName(name: DistinguishedName): Buffer {
  const faults = subjectFaults(name)
  if (faults.length > 0) throw new X509Error('name-invalid', `${faults.join('; ')}`)
  const rdns = attributes.flatMap(([field, , type, , kind]) =>
    valuesOf(name, field).map((value) =>
      setOf(sequence(oid(type), tlv(stringKinds[kind].tag, Buffer.from(value, 'utf8')))),
    ),
  )
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
  const found = new Map<Attribute[0], readonly string[]>()
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
      const before = field === undefined ? [] : (found.get(field) ?? [])
      if (field === undefined || text === undefined || (before.length > 0 && !repeats(field)))
        others.push({ oid: dotted, text: text ?? '', der: encodedOf(value) })
      else found.set(field, [...before, text])
    }
  }
  return { ...named(found), others }
}

function repeats(field: Attribute[0]): boolean {
  return field === 'organizationalUnit' || field === 'domainComponents'
}

function named(found: ReadonlyMap<Attribute[0], readonly string[]>): DistinguishedName {
  const { domainComponents: _, ...once } = Object.fromEntries(
    [...found].map(([field, [first]]) => [field, first]),
  )
  const units = found.get('organizationalUnit') ?? []
  const labels = found.get('domainComponents')
  return {
    ...once,
    ...(units.length > 1 ? { organizationalUnits: units } : {}),
    ...(labels ? { domainComponents: labels } : {}),
  }
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
      ...attributes.flatMap(([field]) => valuesOf(known, field).map((text) => [field, text])),
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

const shortNames: ReadonlyMap<string, string> = new Map(
  attributes.map(([, short, type]) => [type, short]),
)

/** What an attribute of a name is called (RFC 4514 3), with its type. */
export function attributeName(type: string): string {
  const short = shortNames.get(type)
  return short === undefined ? type : `${short} (${type})`
}

/** The string form of RFC 4514: most specific first, escaped, foreign types as #hex. */
export function formatName(name: DistinguishedName | Name): string {
  const others = 'others' in name ? name.others : []
  const written = attributes.flatMap(([field, short]) =>
    valuesOf(name, field).map((value) => `${short}=${escaped(value)}`),
  )
  const foreign = others.map(({ oid: type, text, der }) => {
    const short = shortNames.get(type)
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
