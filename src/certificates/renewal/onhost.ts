import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import type { TenantRow } from '../../tenants/access.ts'
import { countOne } from '../../tenants/quotas/usage.ts'
import { orderedElsewhere } from '../elsewhere/order.ts'
import { certifyHost, rehearseCertify } from '../hosts/certify.ts'
import type { Issued } from '../issuance/steps.ts'
import { certificateName } from '../name.ts'
import { isReplaceable, type PredecessorRow, refuseReplaced } from './predecessor.ts'

/** On its host the same Secret gets the next one. */
export async function renewOnHost(
  ctx: Context,
  actor: Actor,
  { tenant, row, csr }: { tenant: TenantRow; row: PredecessorRow; csr: string | undefined },
): Promise<Issued> {
  refuse(
    'certificate-refused',
    csr === undefined
      ? []
      : [{ field: '/csr', message: 'Keys of hosts are made here: leave it out' }],
  )
  const [host] = row.servedBy
  if (!host) {
    refuseReplaced(row)
    throw new Problem('certificate-refused', 'No host uses it: put the host instead')
  }
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    if (!isReplaceable(row, now)) await countOne(tx, { ctx, tenant }, 'certificatesPerDay')
    await tx.certificate.updateMany({ where: { id: row.id }, data: { renewAt: now } })
    await record(tx, { actor, now }, 'certificate.renewal-asked', {
      subject: {
        kind: 'certificate',
        id: row.id,
        name: certificateName(row),
        tenantId: row.tenantId,
      },
      changes: { serial: row.serial },
    })
  })
  if (ctx.rehearses) return rehearseCertify(ctx, host.id)
  await certifyHost(ctx, host.id, true)
  const { certificateId } = await ctx.db.read.host.findUniqueOrThrow({
    where: { id: host.id },
    select: { certificateId: true },
  })
  if (certificateId !== null && certificateId !== row.id) {
    return { id: certificateId, row: undefined }
  }
  const order = await ctx.db.read.caOrder.findFirst({
    where: { hostId: host.id, endedAt: null },
    select: { authority: { select: { name: true } } },
  })
  if (order) throw orderedElsewhere(order.authority.name)
  const { renewError } = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: row.id },
    select: { renewError: true },
  })
  throw new Problem('certificate-refused', renewError ?? 'The host was changed; ask again')
}
