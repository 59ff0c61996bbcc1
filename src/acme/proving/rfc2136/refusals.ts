import { CaRefusal } from '../../client/refusal.ts'
import type { UpdateAnswer } from './message.ts'
import { type SignatureFault, serverTime } from './tsig.ts'

/** Who was asked to change what, by which key. */
export type UpdateAttempt = {
  readonly server: string
  readonly zone: string
  readonly name: string
  readonly keyName: string
  readonly algorithm: string
  /** Seconds since 1970. */
  readonly time: number
}

/** Codes that are met by whoever sends updates (RFC 2136 2.2, RFC 8945 3), and whether the same may do later. */
const rcodes: Readonly<
  Record<number, readonly [string, (asked: UpdateAttempt) => string, 'passes'?]>
> = {
  1: ['FORMERR', () => 'it could not read it'],
  2: ['SERVFAIL', () => 'it failed at it, and its log says why', 'passes'],
  4: ['NOTIMP', () => 'it takes no dynamic updates'],
  5: ['REFUSED', ({ keyName, name }) => `the key "${keyName}" may not change ${name} there`],
  9: ['NOTAUTH', ({ zone }) => `it is not the primary server of ${zone}`],
  10: ['NOTZONE', ({ zone, name }) => `${name} is not in its zone ${zone}`],
}

const tsigErrors: typeof rcodes = {
  16: ['BADSIG', ({ keyName }) => `the secret of the key "${keyName}" is another there`],
  17: ['BADKEY', (asked) => `it knows no key "${asked.keyName}" of ${asked.algorithm}`],
  18: ['BADTIME', () => 'its clock differs', 'passes'],
  22: ['BADTRUNC', () => 'it wants MACs of another length'],
}

/** What an answer refuses, in plain words: by its TSIG error if it has one, which says more than NOTAUTH; undefined: it did
 *  what it was asked to. Refusals that a later try may not meet are of the status 503. */
export function updateRefusal(
  { rcode, signature }: UpdateAnswer,
  asked: UpdateAttempt,
): CaRefusal | undefined {
  const { error = 0 } = signature?.tsig ?? {}
  if (rcode === 0 && error === 0) return undefined
  const [code, words, passes] = (error === 0 ? rcodes[rcode] : tsigErrors[error]) ?? [
    error === 0 ? `RCODE ${rcode}` : `TSIG error ${error}`,
    () => 'it says no more',
  ]
  const theirs = error === 18 && signature ? serverTime(signature.tsig) : undefined
  const by = theirs === undefined ? '' : ` by ${Math.abs(theirs - asked.time)} s`
  const text = `The DNS server ${asked.server} refuses the update of ${asked.name}: ${words(asked)}${by} (${code})`
  return new CaRefusal('dnsUpdate', text, { status: passes ? 503 : 403 })
}

const faults: Readonly<Record<SignatureFault, string>> = {
  unsigned: 'is not signed',
  badkey: 'is signed by another key',
  badsig: 'has a signature that is wrong',
  badtime: 'is signed at a time that is not now',
}

/** What is said of an answer that is not believed. One that is not signed at all is that of a server which knows no TSIG;
 *  all others may be different the next time. */
export function disbelief(fault: SignatureFault, { server, name }: UpdateAttempt): CaRefusal {
  const text = `The answer of the DNS server ${server} to the update of ${name} ${faults[fault]}: it is not believed`
  return new CaRefusal('dnsUpdate', text, { status: fault === 'unsigned' ? 403 : 503 })
}
