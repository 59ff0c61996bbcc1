import { setImmediate } from 'node:timers/promises'
import { extensionsOf } from '../certificates/facts.ts'
import {
  context,
  type Element,
  integer,
  listElements,
  malformed,
  readDer,
  readHeader,
  sequence,
  tags,
  tlv,
} from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, numberOf, octetsOf } from '../der/fields.ts'
import { encodeTime, timeOf } from '../der/time.ts'
import type { AuthorityAlgorithm } from '../keys/public.ts'
import { signatureAlgorithmOf, verifies } from '../keys/sign.ts'
import { type Name, readName } from '../names/distinguished.ts'
import { type CrlEntry, entryOf } from './entry.ts'
import { type CrlScope, scopeExtensions, scopeOf } from './scope.ts'

/** What a list says besides its entries. */
export type CrlHeader = CrlScope & {
  /** The authority's subject, byte for byte. */
  readonly issuer: Buffer
  readonly signerAlgorithm: AuthorityAlgorithm
  readonly thisUpdate: Date
  readonly nextUpdate: Date
}

/** How many entries are worked on before the event loop runs again: one or two milliseconds. */
export const entriesPerTurn = 500

/** The bytes to be signed of a version 2 list (RFC 5280 5.1.2), from entries already encoded, taken
 *  one by one so that a long list neither blocks the event loop nor is held twice. Throws
 *  `value-invalid` when the times or the number cannot be. */
export async function buildCrl(
  header: CrlHeader,
  entries: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<Buffer> {
  const { thisUpdate, nextUpdate } = header
  if (nextUpdate <= thisUpdate)
    throw new X509Error('value-invalid', 'nextUpdate of a list must lie after thisUpdate')
  const chunks: Buffer[] = []
  let waiting: Buffer[] = []
  for await (const entry of entries) {
    waiting.push(entry)
    if (waiting.length < entriesPerTurn) continue
    chunks.push(Buffer.concat(waiting))
    waiting = []
    await setImmediate()
  }
  const revoked = Buffer.concat([...chunks, ...waiting])
  return sequence(
    integer(1),
    signatureAlgorithmOf(header.signerAlgorithm),
    header.issuer,
    encodeTime(thisUpdate),
    encodeTime(nextUpdate),
    // RFC 5280 5.1.2.6: when nothing is revoked the list is absent, not empty.
    ...(revoked.length > 0 ? [tlv(tags.sequence, revoked)] : []),
    context(0, sequence(...scopeExtensions(header))),
  )
}

/** A revocation list as read (RFC 5280 5.1). */
export type Crl = {
  readonly tbs: Buffer
  readonly signatureAlgorithmDer: Buffer
  readonly signature: Buffer
  readonly version: number
  readonly issuerDer: Buffer
  readonly issuer: Name
  readonly thisUpdate: Date
  readonly nextUpdate?: Date
  readonly number?: bigint
  readonly authorityKeyIdentifier?: Buffer
  /** URLs of the issuingDistributionPoint; empty on a list that is no shard. */
  readonly urls: readonly string[]
  readonly only?: 'leaves' | 'authorities'
  readonly entries: readonly CrlEntry[]
  readonly unknownCritical: readonly string[]
}

const longestList = 1 << 27

/** Reads a revocation list from DER, whatever its length up to 128 MiB; throws `der-malformed`. A long
 *  one takes a second: it lets the event loop run in between. Whether the list is to be believed is
 *  for `crlSignedBy` to say. */
export async function readCrl(der: Buffer): Promise<Crl> {
  const { entries, ...list } = openList(der)
  const read: CrlEntry[] = []
  for (const element of entries) {
    if (read.push(entryOf(element)) % entriesPerTurn === 0) await setImmediate()
  }
  return { ...list, entries: read }
}

type OpenList = Omit<Crl, 'entries'> & { readonly entries: Iterable<Element> }

function openList(der: Buffer): OpenList {
  if (der.length > longestList) throw malformed(`longer than ${longestList} bytes`)
  const outer = readHeader(der, 0, der.length)
  if (outer.tag !== tags.sequence || outer.end !== der.length) throw malformed('a list')
  const tbs = readHeader(der, outer.body, outer.end)
  if (tbs.tag !== tags.sequence) throw malformed('a tbsCertList')
  const [algorithm, bits, ...more] = listElements(der, tbs.end, outer.end)
  if (algorithm === undefined || more.length > 0) throw malformed('a list has three parts')
  return {
    ...tbsOf(shallow(der, tbs.body, tbs.end)),
    tbs: der.subarray(tbs.start, tbs.end),
    signatureAlgorithmDer: der.subarray(algorithm.start, algorithm.end),
    signature: octetsOf(bits, 'signatureValue'),
  }
}

type Shallow = ReturnType<typeof readHeader>

/** The fields by their headers only: one of them may hold a hundred thousand entries. */
function shallow(der: Buffer, start: number, end: number): Shallow[] {
  const fields: Shallow[] = []
  for (let at = start; at < end && fields.length < 8; ) {
    const field = readHeader(der, at, end)
    fields.push(field)
    at = field.end
  }
  return fields
}

function whole({ der, start, end }: Shallow): Element {
  return readDer(der.subarray(start, end))
}

function tbsOf(fields: Shallow[]): Omit<OpenList, 'tbs' | 'signatureAlgorithmDer' | 'signature'> {
  const stated = fields[0]?.tag === tags.integer ? fields.shift() : undefined
  const version = stated ? numberOf(contentsOf(whole(stated)), 'version') + 1 : 1
  const [algorithm, issuer, thisUpdate, ...optional] = fields
  if (!algorithm || !issuer || !thisUpdate || version > 2) throw malformed('a tbsCertList')
  const next = isTime(optional[0]) ? optional.shift() : undefined
  const list = optional[0]?.tag === tags.sequence ? optional.shift() : undefined
  const wrapper = optional[0]?.tag === 0xa0 ? optional.shift() : undefined
  if (optional.length > 0) throw malformed('an unknown part of tbsCertList')
  const issuerDer = issuer.der.subarray(issuer.start, issuer.end)
  return {
    version,
    issuerDer,
    issuer: readName(issuerDer),
    thisUpdate: timeOf(whole(thisUpdate), 'thisUpdate'),
    ...(next ? { nextUpdate: timeOf(whole(next), 'nextUpdate') } : {}),
    entries: list ? listElements(list.der, list.body, list.end) : [],
    ...scopeOf(wrapper ? extensionsOf(whole(wrapper).children[0]) : []),
  }
}

function isTime(field: Shallow | undefined): boolean {
  return field?.tag === tags.utcTime || field?.tag === tags.generalizedTime
}

/** Whether the key in `spki` signed this list (SHA-2 algorithms only). */
export function crlSignedBy(crl: Crl, spki: Buffer): boolean {
  const { tbs, signatureAlgorithmDer, signature } = crl
  return verifies({ bytes: tbs, algorithm: readDer(signatureAlgorithmDer), signature }, spki)
}
