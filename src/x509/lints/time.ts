import type { CertificateProfile } from '../certificates/template.ts'
import { sequence } from '../der/encoding.ts'
import { encodeTime } from '../der/time.ts'
import { every, issued, type Rule, unless } from './rule.ts'

const day = 86_400
/** No calendar year is longer. */
const year = 366 * day

/** Longest periods: CA/B BR and root programmes for authorities; 825 days is what Apple's platforms
 *  accept of a private authority's server certificates. */
export const longestSeconds: Readonly<Record<CertificateProfile, number>> = {
  root: 25 * year,
  intermediate: 8 * year,
  server: 825 * day,
  client: 825 * day,
  peer: 825 * day,
  ocsp: 825 * day,
}

/** Rules about validity. */
export const timeRules: readonly Rule[] = [
  {
    name: 'time-form',
    clause: 'RFC 5280 4.1.2.5',
    applies: every,
    check: ({ validityDer, validity }) =>
      unless(
        sequence(encodeTime(validity.notBefore), encodeTime(validity.notAfter)).equals(validityDer),
        'A time is not UTCTime through 2049 and GeneralizedTime from 2050',
      ),
  },
  {
    name: 'time-order',
    clause: 'RFC 5280 4.1.2.5',
    applies: every,
    check: ({ validity }) =>
      unless(validity.notBefore <= validity.notAfter, 'notAfter lies before notBefore'),
  },
  {
    name: 'time-length',
    clause: 'CA/B BR 6.3.2',
    applies: every,
    check: ({ validity }, { profile, allowed }) => {
      const seconds = (validity.notAfter.getTime() - validity.notBefore.getTime()) / 1000 + 1
      const most = allowed.lifetimeSeconds ?? longestSeconds[profile]
      return unless(seconds <= most, `The period of ${seconds} s is longer than ${most} s`)
    },
  },
  {
    name: 'time-backdate',
    clause: 'CA/B BR 7.1.2.7',
    applies: every,
    check: ({ validity }, { allowed: { now, backdateSeconds = day } }) => {
      if (now === undefined) return undefined
      const back = (now.getTime() - validity.notBefore.getTime()) / 1000
      if (back < 0) return 'notBefore lies in the future'
      return unless(back < backdateSeconds + 1, `notBefore lies ${back} s in the past`)
    },
  },
  {
    name: 'time-within-issuer',
    clause: 'RFC 5280 6.1.3',
    applies: issued,
    check: ({ validity }, { issuer }) =>
      unless(
        issuer === undefined ||
          (validity.notBefore >= issuer.validity.notBefore &&
            validity.notAfter <= issuer.validity.notAfter),
        'The period is not within the issuer’s',
      ),
  },
]
