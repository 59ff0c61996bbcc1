import { retiredMessage } from '../../authorities/issuers/current.ts'
import type { Violation } from '../../shared/problem.ts'
import type { Policy } from '../../tenants/tenant.ts'
import { usualDays } from '../../x509/certificates/validity.ts'
import { constraintFaults } from '../../x509/constraints/faults.ts'
import type { NameConstraints } from '../../x509/constraints/subtrees.ts'
import type { IssuanceRequest } from './request.ts'

/** What an authority lets its leaves be. */
export type AuthorityLimits = {
  readonly name: string
  readonly retiredAt: Date | null
  readonly maxValidityDays: number | null
  readonly defaultValidityDays: number | null
  readonly profiles: readonly string[]
}

/** The days of a leaf that asks for none: the authority's default, or the usual ones, within every limit. */
export function defaultDays(authority: AuthorityLimits, { maxValidityDays }: Policy): number {
  const { defaultValidityDays, maxValidityDays: limit } = authority
  return Math.min(defaultValidityDays ?? usualDays, limit ?? 3650, maxValidityDays ?? 3650)
}

/** A request that is made again, its days within every limit of now: what was requested once is not refused
 *  because a limit has become lower since. */
export function shortened<Request extends { readonly validityDays: number | undefined }>(
  request: Request,
  { maxValidityDays: limit }: Pick<AuthorityLimits, 'maxValidityDays'>,
  { maxValidityDays }: Policy,
): Request {
  const { validityDays: days } = request
  if (days === undefined) return request
  return { ...request, validityDays: Math.min(days, limit ?? days, maxValidityDays ?? days) }
}

/** Everything about `request` that the authority does not sign, all at once: purposes, days, and names
 *  outside the constraints of its whole path (RFC 5280 6.1.4 (g)). */
export function limitFaults(
  request: Pick<IssuanceRequest, 'profile' | 'names' | 'subject' | 'validityDays'>,
  { name, profiles, maxValidityDays, retiredAt }: AuthorityLimits,
  constraints: readonly NameConstraints[],
): readonly Violation[] {
  const { profile, validityDays } = request
  return [
    ...(retiredAt === null ? [] : [{ field: '/authority', message: retiredMessage(name) }]),
    ...(profiles.includes(profile)
      ? []
      : [{ field: '/profile', message: `"${name}" signs ${profiles.join(', ')}, not ${profile}` }]),
    ...(maxValidityDays !== null && validityDays > maxValidityDays
      ? [
          {
            field: '/validityDays',
            message: `"${name}" signs for ${maxValidityDays} days at most, not ${validityDays}`,
          },
        ]
      : []),
    ...onePerField(constraintFaults(request.names, request.subject, ...constraints)),
  ]
}

/** What two authorities of a path refuse is said once. */
function onePerField(faults: readonly Violation[]): readonly Violation[] {
  return [...new Map(faults.map((fault) => [fault.field, fault])).values()]
}
