import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'
import { policyOf } from '../../tenants/access.ts'
import { renewAt, spreadOf } from '../renewal/rules.ts'

const pageSize = 500

/** Looks through what a tenant has after its policy was changed: when certificates are to be renewed is
 *  counted anew, and what is renewed by itself is looked at now, whatever failed before. */
export async function reviewTenant(ctx: Context, tenantId: string): Promise<void> {
  const tenant = await ctx.db.read.tenant.findUnique({
    where: { id: tenantId },
    select: { policy: true },
  })
  if (!tenant) return
  const { renewBefore } = policyOf(tenant)
  await ctx.db.transaction(async (tx) => {
    const hosts = await tx.host.findMany({ where: { tenantId }, select: { id: true } })
    await tx.host.updateMany({ where: { tenantId }, data: { certifyFailures: 0 } })
    await dueMany(
      tx,
      'host.certify',
      hosts.map(({ id: hostId }) => ({ hostId })),
    )
  })
  for (let after: string | undefined; ; ) {
    const rows = await page(ctx, tenantId, after)
    const plan = rows.map(({ id, serial, notBefore, notAfter }) => ({
      id,
      renewAt: renewAt({ notBefore, notAfter }, spreadOf(serial), renewBefore),
    }))
    await ctx.db.transaction(async (tx) => {
      await tx.$executeRaw(sql`
        update certificate set "renewAt" = item."renewAt", "renewFailures" = 0,
          "renewAfter" = null
        from jsonb_to_recordset(${JSON.stringify(plan)}::jsonb)
          as item ("id" uuid, "renewAt" timestamptz)
        where certificate."id" = item."id"`)
      const own = rows.filter(({ hostId }) => hostId === null)
      await dueMany(
        tx,
        'certificate.renew',
        own.map(({ id: certificateId }) => ({ certificateId })),
      )
    })
    after = rows.at(-1)?.id
    if (rows.length < pageSize) return
  }
}

/** Those that an order has chosen keep the time that it gave them. */
function page(ctx: Context, tenantId: string, after: string | undefined) {
  return ctx.db.read.certificate.findMany({
    where: {
      tenantId,
      autoRenew: true,
      replacementId: null,
      status: 'active',
      notAfter: { gte: ctx.now() },
      ...(after === undefined ? {} : { id: { gt: after } }),
    },
    select: { id: true, serial: true, hostId: true, notBefore: true, notAfter: true },
    orderBy: { id: 'asc' },
    take: pageSize,
  })
}
