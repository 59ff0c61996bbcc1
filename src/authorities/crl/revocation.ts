import Type from 'typebox'
import { closed } from '../../shared/schema.ts'
import { type RevocationReason, settableReasons } from '../../x509/crl/reasons.ts'

export const Reason = Type.Enum([...settableReasons], {
  title: 'RevocationReason',
  description: 'Why it is no longer good (RFC 5280 5.3.1)',
})

export const NewRevocation = closed(
  { reason: Type.Optional(Reason) },
  { title: 'NewRevocation', examples: [{ reason: 'superseded' }] },
)

/** What of a certificate decides about its revocation. */
export type Revocable = {
  readonly notAfter: Date
  readonly revokedAt: Date | null
  readonly revocationReason: string | null
}

/** What revoking comes to: `unchanged` when it was revoked before, `expired` when there is nothing left
 *  to revoke. */
export type Revoking =
  | { readonly outcome: 'expired' }
  | { readonly outcome: 'unchanged' }
  | {
      readonly outcome: 'revoked'
      readonly revokedAt: Date
      readonly reason: RevocationReason
    }

/** What becomes of a certificate that is to be revoked for `reason` now. A second time changes nothing
 *  and the first date stays (RFC 5280 5.3); only a compromise that becomes known later replaces a
 *  weaker reason (CA/B BR 4.9.1.1). Whole seconds, as lists store them. */
export function revoking(
  held: Revocable,
  { reason, now }: { readonly reason: RevocationReason; readonly now: Date },
): Revoking {
  if (held.revokedAt) {
    const graver = isCompromise(reason) && !isCompromise(held.revocationReason)
    return graver
      ? { outcome: 'revoked', revokedAt: held.revokedAt, reason }
      : { outcome: 'unchanged' }
  }
  const revokedAt = new Date(Math.floor(now.getTime() / 1000) * 1000)
  // The last second belongs to the period (RFC 5280 4.1.2.5).
  if (held.notAfter < revokedAt) return { outcome: 'expired' }
  return { outcome: 'revoked', revokedAt, reason }
}

function isCompromise(reason: string | null): boolean {
  return reason === 'keyCompromise' || reason === 'cACompromise'
}
