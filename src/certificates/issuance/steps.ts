import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { ViewableCertificate } from '../find.ts'
import { firstCertificate } from './idempotency.ts'
import { type IssuanceOrder, prepareIssuance } from './prepare.ts'
import { reserve } from './reserve.ts'
import { signAndRecord } from './sign.ts'

/** An issued certificate; `row` is there when it was made just now and not by an earlier request. */
export type Issued = { readonly id: string; readonly row: ViewableCertificate | undefined }

/** Issues what was ordered, in four steps that cannot be taken in another order: killed anywhere between
 *  them, there is no certificate that is not recorded, and finishCertificate settles the rest. A rehearsal takes the
 *  first two alone: what it answers is not signed. */
export async function issue(ctx: Context, actor: Actor, order: IssuanceOrder): Promise<Issued> {
  // 1. The key and the exact bytes, linted; 2. on record before the CA key is used.
  const reserved = await reserve(ctx, await prepareIssuance(ctx, actor, order))
  if (!reserved) return { id: await firstCertificate(ctx, order), row: undefined }
  const { tenant, authority } = order
  if (ctx.rehearses) {
    const unsigned = { der: null, fingerprintSha256: null, ...asIssued, status: 'signing' }
    return { id: reserved.row.id, row: { ...reserved.row, tenant, authority, ...unsigned } }
  }
  // 3. Those bytes, signed once; 4. the certificate, with the audit event that tells of it.
  const { row, stored, der, fingerprintSha256 } = await signAndRecord(ctx, reserved)
  // Another signature over these bytes was stored first: that one is the certificate.
  if (!stored) return { id: row.id, row: undefined }
  const made = { ...row, tenant, authority, der, fingerprintSha256 }
  return { id: row.id, row: { ...made, ...asIssued } }
}

/** What is so of every certificate that was made just now. */
const asIssued = {
  status: 'active',
  uploaded: '',
  chainPem: null,
  anchorPem: null,
  revokedAt: null,
  revocationReason: null,
  replacedBy: null,
  renewFailures: 0,
  renewAfter: null,
  renewError: null,
} as const
