import type { Actor } from '../ground/actor.ts'
import { allow } from '../ground/actor.ts'
import type { Context } from '../ground/context.ts'
import { NameKey, pageOf, readCursor } from '../words/cursor.ts'
import type { Page, PageQuery } from '../words/schema.ts'
import { accessTenant, policyOf, type TenantRow } from './access.ts'
import type { Tenant } from './tenant.ts'

/** One tenant. Throws tenant-unknown. */
export async function getTenant(ctx: Context, actor: Actor, name: string): Promise<Tenant> {
  return tenantView(await accessTenant(ctx, actor, { name, permission: 'read' }))
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
  return pageOf(rows, limit, { key: ({ name }) => [name], item: tenantView })
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
  return rows.map(tenantView)
}

/** The row as it is shown. */
export function tenantView(row: TenantRow): Tenant {
  return {
    name: row.name,
    displayName: row.displayName,
    domains: row.domains,
    namespaces: row.namespaces,
    defaultAuthority: row.defaultAuthority?.name ?? null,
    policy: policyOf(row),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
