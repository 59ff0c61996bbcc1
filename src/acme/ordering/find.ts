import { issuingAuthority } from '../../authorities/issuers/current.ts'
import { type Actor, allow } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { byMade, listRows, when } from '../../core/database/lists.ts'
import { named, type Row, rowsOf } from '../../core/database/rows.ts'
import type { List } from '../../shared/lists/query.ts'
import { oneOf } from '../../shared/oneof.ts'
import { shown, timestamp, timestampOrNull } from '../../shared/view.ts'
import { CaOrder, type CaOrderQuery, CaOrderState } from './schema.ts'

const rows = rowsOf('CaOrder', {
  tenant: named(sql`tenant`, sql`ca_order."tenantId"`),
  host: named(sql`host`, sql`ca_order."hostId"`),
})

const listing = byMade(rows, 'createdAt')

/** What hosts have ordered of a CA elsewhere, oldest first unless asked otherwise; a tenant sees its own. Of an
 *  authority that signs here there is none. Throws authority-unknown, cursor-refused. */
export async function listCaOrders(
  ctx: Context,
  actor: Actor,
  { authority, ...query }: CaOrderQuery & { readonly authority: string },
): Promise<List<CaOrder>> {
  allow(actor, 'read')
  const { tenantId } = actor
  const { id } = await issuingAuthority(ctx, { name: authority, tenantId })
  const conditions = [
    sql`ca_order."authorityId" = ${id}::uuid`,
    ...when(tenantId ?? undefined, (one) => sql`ca_order."tenantId" = ${one}::uuid`),
    ...when(query.state, (one) => sql`ca_order."state" = ${one}`),
    ...when(query.open, (one) => sql`(ca_order."endedAt" is null) = ${one}`),
  ]
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: page.items.map(orderView) }
}

function orderView(row: Row<typeof rows>): CaOrder {
  return shown(CaOrder, {
    id: row.id,
    tenant: row.tenant.name,
    host: row.host?.name ?? null,
    names: row.names,
    state: oneOf(CaOrderState.enum, row.state),
    message: row.message,
    problem: row.problem,
    failures: row.failures,
    retryAt: timestampOrNull(row.retryAt),
    replaces: row.replacesId,
    certificate: row.certificateId,
    createdAt: timestamp(row.createdAt),
    sentAt: timestampOrNull(row.sentAt),
    endedAt: timestampOrNull(row.endedAt),
  })
}
