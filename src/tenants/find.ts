import type { Actor } from '../core/actor.ts'
import { allow } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { NameKey, pageOf, readCursor } from '../shared/cursor.ts'
import { marksOf } from '../shared/lists/labels.ts'
import type { Page, PageQuery } from '../shared/schema.ts'
import { shownJson, timestamp } from '../shared/view.ts'
import { accessTenant, type TenantRow } from './access.ts'
import { quotasOf } from './quotas/limits.ts'
import { usageOf } from './quotas/usage.ts'
import { Policy, type Tenant } from './tenant.ts'

/** One tenant, with what it uses of its quotas. Throws tenant-unknown. */
export async function getTenant(ctx: Context, actor: Actor, name: string): Promise<Tenant> {
  const row = await accessTenant(ctx, actor, { name, permission: 'read' })
  return wholeTenant(ctx.db.read, ctx, row)
}

/** The row as it is shown by itself: with what it uses of its quotas. */
export async function wholeTenant(tx: Tx, ctx: Context, row: TenantRow): Promise<Tenant> {
  return { ...tenantView(ctx, row), usage: await usageOf(tx, ctx, row) }
}

/** The tenants that the actor may see, by name; a tenant's own key sees that one. */
export async function listTenants(
  ctx: Context,
  actor: Actor,
  { limit = 50, cursor }: PageQuery,
): Promise<Page<Tenant>> {
  allow(actor, 'read')
  const [after] = cursor === undefined ? [] : readCursor(cursor, NameKey)
  const rows = await ctx.db.read.tenant.findMany({
    where: {
      ...(actor.tenantId === null ? {} : { id: actor.tenantId }),
      ...(after === undefined ? {} : { name: { gt: after } }),
    },
    include: { defaultAuthority: { select: { name: true } } },
    orderBy: { name: 'asc' },
    take: limit + 1,
  })
  return pageOf(rows, limit, { key: ({ name }) => [name], item: (row) => tenantView(ctx, row) })
}

/** The tenants of these names that the actor may see, in no order. */
export async function tenantsByNames(
  ctx: Context,
  actor: Actor,
  names: readonly string[],
): Promise<readonly Tenant[]> {
  allow(actor, 'read')
  const rows = await ctx.db.read.tenant.findMany({
    where: {
      name: { in: [...names] },
      ...(actor.tenantId === null ? {} : { id: actor.tenantId }),
    },
    include: { defaultAuthority: { select: { name: true } } },
  })
  return rows.map((row) => tenantView(ctx, row))
}

/** The row as it is shown. */
function tenantView(ctx: Context, row: TenantRow): Tenant {
  return {
    name: row.name,
    displayName: row.displayName,
    domains: row.domains,
    namespaces: row.namespaces,
    defaultAuthority: row.defaultAuthority?.name ?? null,
    policy: shownJson(Policy, row.policy),
    ...marksOf(row),
    quotas: quotasOf(row, ctx.config),
    createdAt: timestamp(row.createdAt),
    updatedAt: timestamp(row.updatedAt),
  }
}
