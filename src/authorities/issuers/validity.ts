import { day } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { backdated, isWhole, validityOf } from '../../x509/certificates/validity.ts'
import type { Validity } from '../../x509/der/time.ts'
import { longestSeconds } from '../../x509/lints/time.ts'
import type { NewAuthority } from '../authority.ts'
import { currentIssuer, type IssuingAuthority } from './current.ts'

/** The period of a new CA certificate: ten years for a root and five for an intermediate unless
 *  `validityDays` says otherwise, and never longer than the parent's. Throws authority-refused when the
 *  parent has expired, or would end first and `outlive` is `refuse`. */
export function caValidity(
  request: Pick<NewAuthority, 'kind' | 'parent' | 'outlive' | 'validityDays'>,
  now: Date,
  parent: Validity | undefined,
): Validity {
  const days = request.validityDays ?? (request.kind === 'root' ? 3650 : 1825)
  const asksFor = { from: backdated(now), milliseconds: days * day }
  if (!parent) return validityOf(asksFor, [])
  if (parent.notAfter <= now) {
    throw new Problem(
      'authority-refused',
      `"${request.parent}" expired at ${parent.notAfter.toISOString()}`,
    )
  }
  const validity = validityOf(asksFor, [parent])
  if (request.outlive === 'refuse' && !isWhole(validity, asksFor.milliseconds)) {
    throw new Problem(
      'authority-refused',
      `validityDays ${days} reaches beyond the parent's own end, ${parent.notAfter.toISOString()}`,
    )
  }
  return validity
}

/** The period of a leaf of so many days, from a minute ago on and inside the issuer's own: what reaches
 *  beyond that is shortened or refused, as the authority says. Throws certificate-refused. */
export function leafValidity(days: number, now: Date, authority: IssuingAuthority): Validity {
  const issuer = currentIssuer(authority)
  const asksFor = { from: backdated(now), milliseconds: days * day }
  if (issuer.notAfter <= now) {
    throw new Problem(
      'certificate-refused',
      `The authority "${authority.name}" expired at ${issuer.notAfter.toISOString()}`,
    )
  }
  const validity = validityOf(asksFor, [issuer])
  if (authority.outlive === 'refuse' && !isWhole(validity, asksFor.milliseconds)) {
    throw new Problem(
      'certificate-refused',
      `validityDays ${days} reaches beyond the authority's own end, ${issuer.notAfter.toISOString()}`,
    )
  }
  return validity
}

/** The period in which one CA certifies another one's key: from `from`, while both are valid, and no
 *  longer than any certificate that an authority has from another (CA/B BR 6.3.2). */
export function crossValidity(one: Validity, other: Validity, from: Date): Validity {
  return validityOf({ from, milliseconds: longestSeconds.intermediate * 1000 }, [one, other])
}
