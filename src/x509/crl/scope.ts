import { authorityKeyExtension, distributionPoint, extension } from '../certificates/extensions.ts'
import { type Extension, readExtensions, urlsOfPoint } from '../certificates/facts.ts'
import { contextPrimitive, type Element, integer, sequence, tags } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, expectTag, magnitude, sequenceOf } from '../der/fields.ts'
import { oids } from '../der/oids.ts'
import { valueIn } from './entry.ts'

/** Which list this is among those of its authority, and which certificates it is about. */
export type CrlScope = {
  readonly authorityKeyIdentifier: Buffer
  /** Strictly greater than that of every earlier list of this scope. */
  readonly number: bigint
  /** With a URL the list is a shard: a critical issuingDistributionPoint says so. */
  readonly url?: string
  /** Which certificates the list is about, if not all. */
  readonly only?: 'leaves' | 'authorities'
}

/** The extensions of a list (RFC 5280 5.2): key, number, and for a shard its distribution point. */
export function scopeExtensions(scope: CrlScope): readonly Buffer[] {
  const { authorityKeyIdentifier, number, url, only } = scope
  if (number < 0n || number >= 1n << 159n)
    throw new X509Error('value-invalid', 'The number of a list takes 1 to 20 octets')
  const hex = number.toString(16)
  const octets = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
  const point = [
    ...(url === undefined ? [] : [distributionPoint(url)]),
    ...(only === undefined ? [] : [contextPrimitive(only === 'leaves' ? 1 : 2, derTrueContents)]),
  ]
  return [
    authorityKeyExtension(authorityKeyIdentifier),
    extension(oids.crlNumber, false, integer(octets)),
    ...(point.length > 0
      ? [extension(oids.issuingDistributionPoint, true, sequence(...point))]
      : []),
  ]
}

const derTrueContents = Buffer.from([0xff])

const understood: ReadonlySet<string> = new Set([oids.crlNumber, oids.issuingDistributionPoint])

/** What the extensions of a list say. */
export function scopeOf(extensions: readonly Extension[]) {
  const { authorityKeyIdentifier, unknownCritical } = readExtensions(extensions)
  const number = valueIn(extensions, oids.crlNumber)
  const scope = valueIn(extensions, oids.issuingDistributionPoint)
  const parts = scope ? sequenceOf(scope, 'issuingDistributionPoint') : []
  const point = parts.find((part) => part.tag === 0xa0)
  const only = parts.find((part) => part.tag === 0x81 || part.tag === 0x82)
  return {
    ...(number ? { number: bigOf(number) } : {}),
    ...(authorityKeyIdentifier ? { authorityKeyIdentifier } : {}),
    urls: point ? urlsOfPoint(point) : [],
    ...(only ? { only: only.tag === 0x81 ? ('leaves' as const) : ('authorities' as const) } : {}),
    unknownCritical: unknownCritical.filter((type) => !understood.has(type)),
  }
}

function bigOf(element: Element): bigint {
  const contents = contentsOf(expectTag(element, tags.integer, 'cRLNumber'))
  return BigInt(`0x${magnitude(contents, 'cRLNumber').toString('hex')}`)
}
