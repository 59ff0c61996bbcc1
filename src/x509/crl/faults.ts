import { setImmediate } from 'node:timers/promises'
import { brokenRules } from '../../shared/brokenrules.ts'
import { type Crl, entriesPerTurn } from './list.ts'

/** The parts of the last list that the next one is compared with. */
export type Predecessor = Pick<Crl, 'issuerDer' | 'urls'> & {
  readonly number?: bigint
  readonly only?: 'leaves' | 'authorities'
}

/** Why a list may not follow `previous` at its place, or be published at all, all together: times,
 *  number, scope, dates (RFC 5280 5.1.2, 5.2.3). It lets the event loop run between groups of entries. */
export async function crlFaults(crl: Crl, previous?: Predecessor): Promise<string[]> {
  const scan = scanEntries(crl)
  let step = scan.next()
  for (; !step.done; step = scan.next()) await setImmediate()
  return [...headFaults(crl, previous), ...step.value]
}

function headFaults(crl: Crl, previous: Predecessor | undefined): readonly string[] {
  const { thisUpdate, nextUpdate, number } = crl
  return brokenRules([
    [crl.version !== 2, 'The list is not of version 2'],
    [number === undefined, 'The list has no number'],
    [!nextUpdate || nextUpdate <= thisUpdate, 'nextUpdate is missing or not after thisUpdate'],
    [
      previous?.number !== undefined && number !== undefined && number <= previous.number,
      'The number is not greater than the last one',
    ],
    [
      previous !== undefined && !sameScope(crl, previous),
      'The list is of another issuer or shard than the last one',
    ],
  ])
}

/** Yields between groups of entries, where the caller may let the event loop run. */
function* scanEntries({ entries, thisUpdate }: Crl): Generator<void, readonly string[]> {
  const serials = new Set<string>()
  let late = false
  for (const [index, { serial, revokedAt }] of entries.entries()) {
    serials.add(serial)
    late ||= revokedAt > thisUpdate
    if (index % entriesPerTurn === entriesPerTurn - 1) yield
  }
  return brokenRules([
    [late, 'An entry was revoked after thisUpdate'],
    [serials.size < entries.length, 'A serial appears twice'],
  ])
}

function sameScope(one: Crl, other: Predecessor): boolean {
  return (
    one.issuerDer.equals(other.issuerDer) &&
    one.urls.join(' ') === other.urls.join(' ') &&
    one.only === other.only
  )
}
