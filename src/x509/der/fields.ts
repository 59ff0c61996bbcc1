import { type Element, malformed, tags } from './encoding.ts'

/** The element, if it is there and has this tag; `what` names it in the error. */
export function expectTag(element: Element | undefined, tag: number, what: string): Element {
  if (element === undefined) throw malformed(`${what} is missing`)
  if (element.tag !== tag) throw malformed(`${what} has tag 0x${element.tag.toString(16)}`)
  return element
}

/** The contents octets, as a view of the bytes read. */
export function contentsOf(element: Element): Buffer {
  return element.der.subarray(element.body, element.end)
}

/** The whole encoding, header included, as a view of the bytes read. */
export function encodedOf(element: Element): Buffer {
  return element.der.subarray(element.start, element.end)
}

/** The elements of a SEQUENCE. */
export function sequenceOf(element: Element | undefined, what: string): readonly Element[] {
  return expectTag(element, tags.sequence, what).children
}

/** Magnitude octets of a non-negative INTEGER in its shortest form (X.690 8.3.2). */
export function unsignedOf(element: Element | undefined, what: string): Buffer {
  return magnitude(contentsOf(expectTag(element, tags.integer, what)), what)
}

/** Magnitude octets, from the contents of an INTEGER under any tag. */
export function magnitude(contents: Buffer, what: string): Buffer {
  const [first, second] = contents
  if (first === undefined) throw malformed(`${what} is an empty integer`)
  if (first >= 0x80) throw malformed(`${what} is negative`)
  if (first !== 0 || second === undefined) return contents
  if (second < 0x80) throw malformed(`${what} has a needless leading zero`)
  return contents.subarray(1)
}

/** A small non-negative INTEGER or ENUMERATED as a number. */
export function numberOf(contents: Buffer, what: string): number {
  const octets = magnitude(contents, what)
  if (octets.length > 4) throw malformed(`${what} is too large`)
  return octets.readUIntBE(0, octets.length)
}

/** BOOLEAN: one octet, 00 or FF (X.690 11.1). */
export function booleanOf(element: Element): boolean {
  const contents = contentsOf(expectTag(element, tags.boolean, 'a boolean'))
  if (contents.length !== 1 || (contents[0] !== 0 && contents[0] !== 0xff))
    throw malformed('a boolean that is neither 00 nor FF')
  return contents[0] === 0xff
}

/** Octets of a BIT STRING that has no unused bits. */
export function octetsOf(element: Element | undefined, what: string): Buffer {
  const contents = contentsOf(expectTag(element, tags.bitString, what))
  if (contents[0] !== 0) throw malformed(`${what} does not end on an octet`)
  return contents.subarray(1)
}

/** The numbers of the bits set in a NamedBitList BIT STRING; unused bits must be zero. */
export function bitsOf(contents: Buffer, what: string): readonly number[] {
  const unused = contents[0]
  const last = contents.length > 1 ? contents.at(-1) : undefined
  if (unused === undefined || unused > 7 || contents.length > 8) throw malformed(what)
  if (unused > 0 && (last === undefined || (last & ((1 << unused) - 1)) !== 0))
    throw malformed(`${what} has unused bits set`)
  const bits: number[] = []
  for (let bit = 0; bit < (contents.length - 1) * 8; bit++)
    if (((contents[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.push(bit)
  return bits
}
