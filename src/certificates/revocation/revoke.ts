import { record } from '../../audit/record.ts'
import { revoking } from '../../authorities/crl/revocation.ts'
import { markListsStale } from '../../authorities/crl/stale.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, inTransaction } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { accessTenant } from '../../tenants/access.ts'
import { countOne } from '../../tenants/quotas/usage.ts'
import type { RevocationReason } from '../../x509/crl/reasons.ts'
import type { Certificate } from '../certificate.ts'
import { getCertificate } from '../find.ts'
import { finishCertificate } from '../issuance/finish.ts'
import { lockCertificate } from '../lock.ts'
import { certificateName } from '../name.ts'
import { uploadedElsewhere } from '../uploads/elsewhere.ts'
import { onCompromise, readProof } from './compromise.ts'

/** Revokes a certificate and answers it. What follows is due in the same transaction: the revocation
 *  lists, the gateways that hold them, and a new certificate for the host that it served; for
 *  keyCompromise its key is blocked, and whatever else has that key revoked, where the tenant alone holds
 *  it or `proof` shows that the caller does. Revoking twice changes nothing. Throws tenant-unknown,
 *  certificate-unknown, certificate-expired, request-invalid for a proof that is none. */
export async function revokeCertificate(
  ctx: Context,
  actor: Actor,
  { tenant, id, reason, proof, signedByKey = false }: RevocationRequest,
): Promise<Certificate> {
  const owner = await accessTenant(ctx, actor, { name: tenant, permission: 'write-certificates' })
  const tenantId = owner.id
  const found = await ctx.db.read.certificate.findFirst({
    where: { id, tenantId },
    select: { status: true, serial: true, spkiSha256: true, uploaded: true },
  })
  if (!found) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  if (found.uploaded !== '') throw uploadedElsewhere('revoke')
  if (proof !== undefined) {
    const message = 'Only a revocation for keyCompromise takes a proof'
    refuse('request-invalid', reason === 'keyCompromise' ? [] : [{ field: '/proof', message }])
    readProof(proof, found)
  }
  // It may be out there already: it is made whole, then revoked.
  if (found.status === 'signing') await finishCertificate(ctx, id)
  const revoker = { actor, now: ctx.now(), proven: signedByKey || proof !== undefined }
  return ctx.db.transaction(async (tx) => {
    // Lists grow by every revocation, for all who read them. Operators of the platform revoke all the same,
    // and so does who says that somebody else has the key: that must never wait for another day.
    const counts = reason !== 'keyCompromise' && found.status !== 'revoked'
    if (actor.tenantId !== null && counts) {
      await countOne(tx, { ctx, tenant: owner }, 'revocationsPerDay')
    }
    await revokeOne(tx, revoker, { id, reason })
    return getCertificate(inTransaction(ctx, tx), actor, { tenant, id })
  })
}

/** Which certificate to revoke, why, and a CSR that shows who has its key. */
export type RevocationRequest = {
  readonly tenant: string
  readonly id: string
  readonly reason: RevocationReason
  readonly proof?: string | undefined
  /** Whether the request itself was signed by the key of the certificate. */
  readonly signedByKey?: boolean
}

/** Who revokes and when; whether they showed that they have the key, and whether what follows for the
 *  key has been seen to. */
type Revoker = {
  readonly actor: Actor
  readonly now: Date
  readonly proven?: boolean
  readonly keySettled?: boolean
}

/** Revokes one certificate in the transaction of its caller, who has seen to the right. Throws
 *  certificate-unknown, certificate-expired. */
export async function revokeOne(
  tx: Tx,
  { actor, now, proven = false, keySettled = false }: Revoker,
  { id, reason }: { id: string; reason: RevocationReason },
): Promise<void> {
  await lockCertificate(tx, id)
  const row = await findForRevocation(tx, id)
  if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  if (row.uploaded !== '') throw uploadedElsewhere('revoke')
  const result = revoking(row, { reason, now })
  if (result.outcome === 'expired') {
    throw new Problem(
      'certificate-expired',
      `It ended at ${row.notAfter.toISOString()}; nobody accepts it any more, so there is nothing to revoke`,
    )
  }
  // Said once more with a proof, what was only the tenant's own matter becomes everybody's.
  const again = result.outcome === 'unchanged' && proven && row.revocationReason === reason
  if (again) await onCompromise(tx, { actor, now, proven }, row)
  if (result.outcome === 'unchanged') return
  const { revokedAt } = result
  await tx.certificate.update({
    where: { id },
    data: { status: 'revoked', revokedAt, revocationReason: result.reason },
    select: { id: true },
  })
  await record(tx, { actor, now }, 'certificate.revoked', {
    subject: { kind: 'certificate', id, name: certificateName(row), tenantId: row.tenantId },
    changes: {
      serial: row.serial,
      reason: result.reason,
      reasonBefore: row.revocationReason ?? undefined,
      revokedAt: revokedAt.toISOString(),
    },
  })
  if (result.reason === 'keyCompromise' && !keySettled) {
    const revoker = { actor, now, proven }
    if ((await onCompromise(tx, revoker, row)) === 'own') await revokeOwn(tx, revoker, row)
  }
  for (const host of row.servedBy) await due(tx, 'host.certify', { hostId: host.id })
  // Last, since all revocations of a list wait here for one another.
  if (row.issuer) await markListsStale(tx, { keyId: row.issuer.keyId, shard: row.crlShard })
  else await due(tx, 'ca.revoke', { certificateId: id })
}

/** All that the tenant itself still has of a key that it says is known. */
async function revokeOwn(
  tx: Tx,
  { actor, now }: { actor: Actor; now: Date },
  { tenantId, spkiSha256 }: { readonly tenantId: string; readonly spkiSha256: string },
): Promise<void> {
  const rows = await tx.certificate.findMany({
    where: { tenantId, spkiSha256, uploaded: '', notAfter: { gte: now }, status: 'active' },
    select: { id: true },
  })
  const revoker = { actor, now, keySettled: true }
  for (const { id } of rows) await revokeOne(tx, revoker, { id, reason: 'keyCompromise' })
}

function findForRevocation(tx: Tx, id: string) {
  return tx.certificate.findUnique({
    where: { id },
    select: {
      tenantId: true,
      uploaded: true,
      serial: true,
      spkiSha256: true,
      commonName: true,
      dnsNames: true,
      notAfter: true,
      revokedAt: true,
      revocationReason: true,
      crlShard: true,
      issuer: { select: { keyId: true } },
      servedBy: { select: { id: true } },
    },
  })
}
