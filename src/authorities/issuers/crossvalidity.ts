import type { Validity } from '../../x509/der/time.ts'
import { longestSeconds } from '../../x509/lints/time.ts'

/** How long one CA certifies another's key: from `begin`, while both hold, and no longer than any
 *  certificate that an authority has from another (CA/B BR 6.3.2). */
export function crossValidity(one: Validity, other: Validity, begin: Date): Validity {
  const latest = Math.max(one.notBefore.getTime(), other.notBefore.getTime(), begin.getTime())
  const notBefore = Math.floor(latest / 1000) * 1000
  const longest = notBefore + longestSeconds.intermediate * 1000 - 1000
  const ends = [one.notAfter.getTime(), other.notAfter.getTime(), longest]
  return { notBefore: new Date(notBefore), notAfter: new Date(Math.min(...ends)) }
}
