import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import type { TenantRow } from '../access.ts'
import { dayOf, type Quotas, quotaExceeded, quotasOf, type Usage } from './limits.ts'
import { ordersInHand } from './orders.ts'

/** A quota that begins anew each day. */
export type Daily = 'certificatesPerDay' | 'revocationsPerDay' | 'replacementsPerDay'

/** Whose quota, and by which settings. */
export type Holder = {
  readonly ctx: Context
  readonly tenant: { readonly id: string; readonly quotas: unknown }
}

/** Counts one more of a daily quota, in the transaction of what is done: others of that tenant wait for
 *  its end, so that two replicas never both have the last one. Throws quota-exceeded. */
export async function countOne(tx: Tx, { ctx, tenant }: Holder, quota: Daily): Promise<void> {
  const now = ctx.now()
  const limit = quotasOf(tenant, ctx.config)[quota]
  const counted =
    limit === 0
      ? 0
      : await tx.$executeRaw(sql`
          insert into tenant_usage as held ("tenantId", "quota", "day", "used")
          values (${tenant.id}::uuid, ${quota}, ${dayOf(now).day}::date, 1)
          on conflict ("tenantId", "quota", "day") do update set "used" = held."used" + 1
          where held."used" < ${limit}`)
  if (counted === 0) throw quotaExceeded(quota, { limit, now })
}

/** Sees that there is room for one more of what a tenant has, which `count` counts. The transaction has
 *  this to itself until it ends. Throws quota-exceeded. */
export async function holdRoom(
  tx: Tx,
  { ctx, tenant }: Holder,
  { quota, count }: { readonly quota: keyof Quotas; readonly count: () => Promise<number> },
): Promise<void> {
  const limit = quotasOf(tenant, ctx.config)[quota]
  const key = `quota/${quota}/${tenant.id}`
  await tx.$executeRaw(sql`select pg_advisory_xact_lock(hashtextextended(${key}, 0))`)
  const used = await count()
  if (used >= limit) throw quotaExceeded(quota, { limit, used })
}

/** Keys that open something now. */
export function inForce(now: Date) {
  return { revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] }
}

/** What a tenant has used of its quotas. */
export async function usageOf(tx: Tx, ctx: Context, { id: tenantId }: TenantRow): Promise<Usage> {
  const now = ctx.now()
  const { day, resetsAt } = dayOf(now)
  const [hosts, deliveries, apiKeys, rows] = await Promise.all([
    tx.host.count({ where: { tenantId } }),
    tx.delivery.count({ where: { tenantId } }),
    tx.apiKey.count({ where: { tenantId, ...inForce(now) } }),
    tx.tenantUsage.findMany({ where: { tenantId, day: new Date(day) } }),
  ])
  const used = (quota: Daily) => rows.find((row) => row.quota === quota)?.used ?? 0
  return {
    hosts,
    deliveries,
    apiKeys,
    certificatesPerDay: used('certificatesPerDay') - ordersInHand(ctx, tenantId),
    revocationsPerDay: used('revocationsPerDay'),
    replacementsPerDay: used('replacementsPerDay'),
    resetsAt: resetsAt.toISOString(),
  }
}
