import Type from 'typebox'
import type { Actor } from '../core/actor.ts'
import { allow } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { byName, listRows, when } from '../core/database/lists.ts'
import { readRows, rowsOwnedBy } from '../core/database/rows.ts'
import { LabelFilter, labelTerms, marksOf, Owner } from '../shared/lists/labels.ts'
import { type Cursored, type List, listQuery, NameSort } from '../shared/lists/query.ts'
import { Name } from '../shared/schema.ts'
import { shownJson, timestamp } from '../shared/view.ts'
import { accessTenant, type TenantRow, tenantRows } from './access.ts'
import { quotasOf } from './quotas/limits.ts'
import { usageOf } from './quotas/usage.ts'
import { Policy, type Tenant } from './tenant.ts'

/** One tenant, with what it uses of its quotas. Throws tenant-unknown. */
export async function getTenant(ctx: Context, actor: Actor, name: string): Promise<Tenant> {
  const row = await accessTenant(ctx, actor, { name, permission: 'read' })
  return wholeTenant(ctx.db.read, ctx, row)
}

/** The actor's own tenant, with what it uses of its quotas; undefined: it is platform-wide. */
export async function ownTenant(ctx: Context, { tenantId }: Actor): Promise<Tenant | undefined> {
  if (tenantId === null) return undefined
  const [row] = await readRows(ctx.db, tenantRows, [sql`tenant."id" = ${tenantId}::uuid`])
  return row ? wholeTenant(ctx.db.read, ctx, row) : undefined
}

/** The row as it is shown by itself: with what it uses of its quotas. */
export async function wholeTenant(tx: Tx, ctx: Context, row: TenantRow): Promise<Tenant> {
  return { ...tenantView(ctx, row), usage: await usageOf(tx, ctx, row) }
}

/** Which tenants are listed; all that is named must hold. */
export const TenantQuery = listQuery(NameSort, {
  domain: Type.Optional(
    Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$', description: 'One of its domains' }),
  ),
  authority: Type.Optional(Name),
  owner: Type.Optional(Owner),
  label: Type.Optional(LabelFilter),
})
export type TenantQuery = Cursored<Type.Static<typeof TenantQuery>>

const listing = byName(tenantRows)

/** The tenants that the actor may see, by name unless asked otherwise; a tenant's own key sees that one.
 *  Throws cursor-refused, request-invalid. */
export async function listTenants(
  ctx: Context,
  actor: Actor,
  query: TenantQuery,
): Promise<List<Tenant>> {
  allow(actor, 'read')
  const { domain, authority, owner, label } = query
  const conditions = [
    ...rowsOwnedBy(actor, sql`tenant."id"`),
    ...when(domain, (one) => sql`tenant."domains" @> array[${one.toLowerCase()}::text]`),
    ...when(
      authority,
      (one) =>
        sql`tenant."defaultAuthorityId" = (select "id" from authority where "name" = ${one})`,
    ),
    ...when(owner, (one) => sql`tenant."owner" = ${one}`),
    ...when(label, (one) => sql`tenant."labelTerms" @> ${[...labelTerms(one)]}::text[]`),
  ]
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: page.items.map((row) => tenantView(ctx, row)) }
}

/** The tenants of these names that the actor may see, in no order. */
export async function tenantsByNames(
  ctx: Context,
  actor: Actor,
  names: readonly string[],
): Promise<readonly Tenant[]> {
  allow(actor, 'read')
  const rows = await readRows(ctx.db, tenantRows, [
    sql`tenant."name" = any(${[...names]})`,
    ...rowsOwnedBy(actor, sql`tenant."id"`),
  ])
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
