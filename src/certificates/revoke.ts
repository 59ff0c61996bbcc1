import { record } from '../audit/record.ts'
import { blockCompromised } from '../authorities/blockedkeys.ts'
import { fallBehind } from '../authorities/crlbehind.ts'
import { revoking } from '../authorities/revocation.ts'
import type { Actor } from '../ground/actor.ts'
import type { Context } from '../ground/context.ts'
import { sql, type Tx } from '../ground/db.ts'
import { due } from '../ground/due.ts'
import { accessTenant } from '../tenants/access.ts'
import { Problem } from '../words/problem.ts'
import type { RevocationReason } from '../x509/reasons.ts'
import type { Certificate } from './certificate.ts'
import { nameOf } from './facts.ts'
import { getCertificate } from './find.ts'
import { finishCertificate } from './finish.ts'

/** Revokes a certificate and answers it. What follows is due in the same transaction: the revocation
 *  lists, the gateways that hold them, and a new certificate for the host that it served; for
 *  keyCompromise its key is blocked, and whatever else has that key revoked. Revoking twice
 *  changes nothing. Throws tenant-unknown, certificate-unknown, certificate-expired. */
export async function revokeCertificate(
  ctx: Context,
  actor: Actor,
  { tenant, id, reason }: { tenant: string; id: string; reason: RevocationReason },
): Promise<Certificate> {
  const { id: tenantId } = await accessTenant(ctx, actor, {
    name: tenant,
    permission: 'write-certificates',
  })
  const found = await ctx.db.read.certificate.findFirst({
    where: { id, tenantId },
    select: { status: true },
  })
  if (!found) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  // It may be out there already: it is made whole, then revoked.
  if (found.status === 'signing') await finishCertificate(ctx, id)
  await ctx.db.transaction((tx) => revokeOne(tx, { actor, now: ctx.now() }, { id, reason }))
  return getCertificate(ctx, actor, { tenant, id })
}

/** Revokes one certificate in the transaction of its caller, who has seen to the right. Throws
 *  certificate-unknown, certificate-expired. */
export async function revokeOne(
  tx: Tx,
  { actor, now }: { actor: Actor; now: Date },
  { id, reason }: { id: string; reason: RevocationReason },
): Promise<void> {
  await tx.$executeRaw(sql`select 1 from certificate where "id" = ${id}::uuid for update`)
  const row = await findForRevocation(tx, id)
  if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  const result = revoking(row, { reason, now })
  if (result.outcome === 'expired') {
    throw new Problem(
      'certificate-expired',
      `It ended at ${row.notAfter.toISOString()}; nobody accepts it any more, so there is nothing to revoke`,
    )
  }
  if (result.outcome === 'unchanged') return
  const { revokedAt } = result
  await tx.certificate.update({
    where: { id },
    data: { status: 'revoked', revokedAt, revocationReason: result.reason },
    select: { id: true },
  })
  await record(tx, { actor, now }, 'certificate.revoked', {
    subject: { kind: 'certificate', id, name: nameOf(row), tenantId: row.tenantId },
    changes: {
      serial: row.serial,
      reason: result.reason,
      reasonBefore: row.revocationReason ?? undefined,
      revokedAt: revokedAt.toISOString(),
    },
  })
  if (result.reason === 'keyCompromise') await blockCompromised(tx, { actor, now }, row)
  for (const host of row.servedBy) await due(tx, 'host.certify', { hostId: host.id })
  // Last, since all revocations of a list wait here for one another.
  await fallBehind(tx, { keyId: row.issuer.keyId, shard: row.crlShard })
}

function findForRevocation(tx: Tx, id: string) {
  return tx.certificate.findUnique({
    where: { id },
    select: {
      tenantId: true,
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
