import type { Crl } from './crl.ts'

/** What of a list the one that follows it is held against. */
export type Predecessor = Pick<Crl, 'issuerDer' | 'urls'> & {
  readonly number?: bigint
  readonly only?: 'leaves' | 'authorities'
}

/** Why a list may not follow `previous` at its place, or be published at all, all together: times,
 *  number, scope, dates (RFC 5280 5.1.2, 5.2.3). */
export function crlFaults(crl: Crl, previous?: Predecessor): string[] {
  const { thisUpdate, nextUpdate, number } = crl
  const faults: readonly (readonly [boolean, string])[] = [
    [crl.version !== 2, 'The list is not of version 2'],
    [number === undefined, 'The list has no number'],
    [!nextUpdate || nextUpdate <= thisUpdate, 'nextUpdate is missing or not after thisUpdate'],
    [
      crl.entries.some(({ revokedAt }) => revokedAt > thisUpdate),
      'An entry was revoked after thisUpdate',
    ],
    [
      new Set(crl.entries.map(({ serial }) => serial)).size < crl.entries.length,
      'A serial appears twice',
    ],
    [
      previous?.number !== undefined && number !== undefined && number <= previous.number,
      'The number is not greater than the last one',
    ],
    [
      previous !== undefined && !sameScope(crl, previous),
      'The list is of another issuer or shard than the last one',
    ],
  ]
  return faults.flatMap(([broken, sentence]) => (broken ? [sentence] : []))
}

function sameScope(one: Crl, other: Predecessor): boolean {
  return (
    one.issuerDer.equals(other.issuerDer) &&
    one.urls.join(' ') === other.urls.join(' ') &&
    one.only === other.only
  )
}
