import { X509Error } from './errors.ts'

/** Identifier octets of the universal types PKIX uses (X.680 8.4). */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** One element with its contents, in a single allocation (X.690 8.1, 10.1). */
export function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const lengthOctets = octetsOf(length)
  const out = Buffer.allocUnsafe(2 + lengthOctets + length)
  out[0] = tag
  let at = 2 + lengthOctets
  if (lengthOctets === 0) out[1] = length
  else {
    out[1] = 0x80 | lengthOctets
    out.writeUIntBE(length, 2, lengthOctets)
  }
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function octetsOf(length: number): number {
  if (length < 0x80) return 0
  if (length < 0x100) return 1
  if (length < 0x10000) return 2
  return length < 0x1000000 ? 3 : 4
}

/** SEQUENCE or SEQUENCE OF. */
export function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(tags.sequence, ...parts)
}

/** SET OF: the elements in ascending order of their encodings (X.690 11.6). */
export function setOf(...parts: readonly Buffer[]): Buffer {
  return tlv(tags.set, ...(parts.length > 1 ? parts.toSorted(Buffer.compare) : parts))
}

/** A constructed context tag: EXPLICIT, or IMPLICIT over a SEQUENCE. */
export function context(number: number, ...parts: readonly Buffer[]): Buffer {
  return tlv(0xa0 | number, ...parts)
}

/** A primitive context tag: IMPLICIT over a string or an integer. */
export function contextPrimitive(number: number, contents: Buffer): Buffer {
  return tlv(0x80 | number, contents)
}

/** OCTET STRING. */
export function octetString(...parts: readonly Buffer[]): Buffer {
  return tlv(tags.octetString, ...parts)
}

const noUnusedBits = Buffer.from([0])

/** BIT STRING of whole octets. */
export function bitString(bytes: Buffer): Buffer {
  return tlv(tags.bitString, noUnusedBits, bytes)
}

/** BIT STRING with a NamedBitList: trailing zero bits removed (X.690 11.2.2). */
export function namedBits(bits: readonly number[]): Buffer {
  const last = Math.max(-1, ...bits)
  const out = Buffer.alloc(1 + Math.ceil((last + 1) / 8))
  out[0] = last < 0 ? 0 : 7 - (last % 8)
  for (const bit of bits) out[1 + (bit >> 3)] = (out[1 + (bit >> 3)] ?? 0) | (0x80 >> (bit & 7))
  return tlv(tags.bitString, out)
}

/** INTEGER, never negative: from a safe number or from big-endian magnitude octets. */
export function integer(value: number | Buffer): Buffer {
  return tlv(tags.integer, integerContents(value))
}

/** The contents octets of a non-negative INTEGER: minimal, top bit clear (X.690 8.3). */
function integerContents(value: number | Buffer): Buffer {
  const octets =
    typeof value === 'number' ? Buffer.from(value.toString(16).padStart(14, '0'), 'hex') : value
  let first = 0
  while (first < octets.length - 1 && octets[first] === 0) first++
  if (octets.length === 0) return Buffer.from([0])
  const minimal = octets.subarray(first)
  return (minimal[0] ?? 0) < 0x80 ? minimal : Buffer.concat([noUnusedBits, minimal])
}

/** BOOLEAN TRUE; FALSE is always a DEFAULT in PKIX and so never written (X.690 11.5). */
export const derTrue = Buffer.from([0x01, 0x01, 0xff])

/** NULL. */
export const derNull = Buffer.from([0x05, 0x00])

/** An element of something read: offsets into `der`, and the elements inside if constructed. */
export type Element = {
  readonly tag: number
  readonly der: Buffer
  readonly start: number
  readonly body: number
  readonly end: number
  readonly children: readonly Element[]
}

/** How much of a stranger's DER is read at most. */
export type DerLimits = {
  readonly bytes: number
  readonly depth: number
  readonly elements: number
}

/** Ample for certificates and requests; revocation lists are walked by `listElements`. */
const derLimits: DerLimits = { bytes: 1 << 20, depth: 24, elements: 20_000 }

/** The sentence-carrying error of every reader in this room. */
export function malformed(what: string): X509Error {
  return new X509Error('der-malformed', `Not valid DER: ${what}; send the file as it was issued`)
}

/** Reads exactly one DER element and all inside it: definite minimal lengths, low tag numbers,
 *  nothing after it, within `limits`; otherwise throws `der-malformed`. Linear in time and memory. */
export function readDer(der: Buffer, limits: DerLimits = derLimits): Element {
  if (der.length > limits.bytes) throw malformed(`longer than ${limits.bytes} bytes`)
  const element = parse(der, 0, der.length, limits.depth, { elements: limits.elements })
  if (element.end !== der.length) throw malformed('bytes after the end')
  return element
}

/** Reads the elements side by side in `der[start..end)`, one at a time, for lists too long to hold. */
export function* listElements(der: Buffer, start: number, end: number): Generator<Element> {
  for (let at = start; at < end; ) {
    const element = parse(der, at, end, derLimits.depth, { elements: derLimits.elements })
    yield element
    at = element.end
  }
}

/** Reads only the header at `at`: where its contents begin and end. */
export function readHeader(der: Buffer, at: number, end: number): Omit<Element, 'children'> {
  const body = bodyOf(der, at, end)
  return { tag: octet(der, at, end), der, start: at, body, end: endOf(der, at, body, end) }
}

/** Where the contents of the element at `start` begin. */
function bodyOf(der: Buffer, start: number, end: number): number {
  const tag = octet(der, start, end)
  if ((tag & 0x1f) === 0x1f) throw malformed('a high tag number')
  if ((tag & 0xdf) === 0) throw malformed('an end-of-contents octet')
  const first = octet(der, start + 1, end)
  if (first === 0x80) throw malformed('an indefinite length')
  if (first > 0x84) throw malformed('a length of more than four octets')
  return first < 0x80 ? start + 2 : start + 2 + (first & 0x7f)
}

/** Where the element at `start` with its contents at `body` ends, no further than `end`. */
function endOf(der: Buffer, start: number, body: number, end: number): number {
  let length = body === start + 2 ? octet(der, start + 1, end) : 0
  for (let at = start + 2; at < body; at++) length = length * 256 + octet(der, at, end)
  if (octetsOf(length) !== body - start - 2) throw malformed('a length not in its shortest form')
  if (body + length > end) throw malformed('an element runs past its end')
  return body + length
}

function octet(der: Buffer, at: number, end: number): number {
  const value = at < end ? der[at] : undefined
  if (value === undefined) throw malformed('it ends in the middle of an element')
  return value
}

const none: readonly Element[] = []

function parse(
  der: Buffer,
  start: number,
  limit: number,
  depth: number,
  left: { elements: number },
): Element {
  if (depth === 0) throw malformed('nested too deeply')
  if (left.elements-- === 0) throw malformed('too many elements')
  const body = bodyOf(der, start, limit)
  const end = endOf(der, start, body, limit)
  const tag = der[start] ?? 0
  if ((tag & 0x20) === 0) return { tag, der, start, body, end, children: none }
  const children: Element[] = []
  for (let at = body; at < end; ) {
    const child = parse(der, at, end, depth - 1, left)
    children.push(child)
    at = child.end
  }
  return { tag, der, start, body, end, children }
}
