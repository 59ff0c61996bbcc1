import Type from 'typebox'
import { type AuditEvent, AuditQuery } from '../../audit/event.ts'
import { findAuditEvents } from '../../audit/find.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { List } from '../../shared/lists/query.ts'
import { closed } from '../../shared/schema.ts'
import { accessTenant } from '../../tenants/access.ts'
import { hostRow } from '../find.ts'
import { parseHostname } from './hostname.ts'

/** What of the audit trail is asked for, of one host. */
export const HistoryQuery = closed(
  Type.Omit(AuditQuery, ['tenant', 'subjectKind', 'subjectId', 'subject', 'address']).properties,
)
type HistoryQuery = Type.Static<typeof HistoryQuery>

/** What was done to a host, newest first, also to one that is gone. Throws tenant-unknown, forbidden, cursor-refused,
 *  and host-unknown for one that never was. */
export async function hostHistory(
  ctx: Context,
  actor: Actor,
  { tenant, name, query }: { tenant: string; name: string; query: HistoryQuery },
): Promise<List<AuditEvent>> {
  const parsed = parseHostname(name)
  const subject = 'name' in parsed ? parsed.name : name
  const own = { tenant, subjectKind: 'host', subject } as const
  const page = await findAuditEvents(ctx, actor, { ...query, ...own })
  if (page.items.length > 0) return page
  const any = await findAuditEvents(ctx, actor, { ...own, limit: 1 })
  if (any.items.length > 0) return page
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  await hostRow(ctx.db.read, { tenantId, name })
  return page
}
