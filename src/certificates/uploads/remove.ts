import { record } from '../../audit/record.ts'
import { leaveKey } from '../../authorities/keys/holders.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { bytes } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import { accessTenant } from '../../tenants/access.ts'
import { lockCertificate } from '../lock.ts'
import { certificateName } from '../name.ts'
import { namesOfUsers, usersOf } from './users.ts'

/** Removes an uploaded certificate and its key, for good. What was issued here stays on record. Throws tenant-unknown,
 *  certificate-unknown, certificate-in-use. */
export async function removeUpload(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { readonly tenant: string; readonly id: string },
): Promise<void> {
  const owner = await accessTenant(ctx, actor, { name: tenant, permission: 'write-certificates' })
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    await lockCertificate(tx, id)
    const row = await tx.certificate.findFirst({
      where: { id, tenantId: owner.id },
      include: { deliveries: { select: { name: true } } },
    })
    if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
    if (row.uploaded === '') {
      throw new Problem(
        'certificate-in-use',
        'It was issued here, and stays on record until long after its end: revoke it instead',
      )
    }
    const users = (await usersOf(tx, { tenantId: owner.id, id })).filter(({ itself }) => itself)
    if (users.length > 0) {
      throw new Problem(
        'certificate-in-use',
        `Hosts have it or name it: ${namesOfUsers(users)}. Put them with another one first, or upload its successor (replaces)`,
        { hosts: users.slice(0, 100).map(({ name }) => name) },
      )
    }
    if (row.deliveries.length > 0) {
      throw new Problem(
        'certificate-in-use',
        `It is delivered as a Secret: remove ${namesOfUsers(row.deliveries)} first`,
      )
    }
    await tx.certificate.updateMany({
      where: { tenantId: owner.id, replacesId: id },
      data: { replacesId: row.replacesId },
    })
    await tx.certificate.delete({ where: { id }, select: { id: true } })
    await tx.certificateFingerprint.deleteMany({
      where: { sha256: bytes(Buffer.from(row.uploaded, 'hex')), certificateId: id },
    })
    await leaveKey(tx, { spkiSha256: row.spkiSha256, tenantId: owner.id })
    await record(tx, { actor, now }, 'certificate.removed', {
      subject: { kind: 'certificate', id, name: certificateName(row), tenantId: owner.id },
      changes: { serial: row.serial, notAfter: row.notAfter.toISOString() },
    })
  })
}
