import { type Actor, allow, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { EventKey, pageOf, readCursor } from '../shared/cursor.ts'
import { Problem } from '../shared/problem.ts'
import type { Page, PageQuery } from '../shared/schema.ts'
import { shown, shownJson, timestamp } from '../shared/view.ts'
import { accessTenant } from '../tenants/access.ts'
import { Event, idOf, type Position, positionOf } from './event.ts'

/** Whose events: a tenant's, or all there are (null). */
export type Whose = { readonly tenantId: string | null }

/** Whose events the actor asks for: of the tenant of this name, or all (null). Throws tenant-unknown, forbidden. */
export async function accessEvents(
  ctx: Context,
  actor: Actor,
  tenant: string | null,
): Promise<Whose> {
  if (tenant !== null) {
    return { tenantId: (await accessTenant(ctx, actor, { name: tenant, permission: 'read' })).id }
  }
  allow(actor, 'read')
  allowPlatform(actor, 'read')
  return { tenantId: null }
}

/** The events that are kept, oldest first, from after the one that was seen last. Throws tenant-unknown,
 *  forbidden, cursor-refused when some that follow it are no longer kept. */
export async function findEvents(
  ctx: Context,
  actor: Actor,
  { tenant, limit = 50, cursor, after }: Asked,
): Promise<Page<Event>> {
  const whose = await accessEvents(ctx, actor, tenant)
  const [from] = cursor === undefined ? [after] : readCursor(cursor, EventKey)
  const position = from === undefined ? start : placeOf(from)
  if (from !== undefined && (await isLost(ctx, position))) {
    throw new Problem('cursor-refused', 'Events after this one are no longer kept: read all anew')
  }
  const rows = await eventsAfter(ctx, whose, { position, limit: limit + 1 })
  return pageOf(rows, limit, { key: ({ id }) => [id], item: (event) => event })
}

type Asked = PageQuery & { readonly tenant: string | null; readonly after?: string | undefined }

const start: Position = { xid: 0n, seq: 0n }

function placeOf(id: string): Position {
  const position = positionOf(id)
  if (!position) throw new Problem('cursor-refused', 'Send the id of an event, or none')
  return position
}

type Row = {
  readonly xid: bigint
  readonly seq: bigint
  readonly at: Date
  readonly tenant: string | null
  readonly type: string
  readonly subjectId: string
  readonly subjectName: string
  readonly data: unknown
}

/** Up to `limit` events after a place, in the order of their transactions, and none of a transaction as long as
 *  an older one may still tell something. */
export async function eventsAfter(
  ctx: Context,
  { tenantId }: Whose,
  { position: { xid, seq }, limit, types }: After,
): Promise<readonly Event[]> {
  const some = types === undefined ? sql`` : sql`and event."type" = any(${[...types]}::text[])`
  const own = tenantId === null ? sql`` : sql`and event."tenantId" = ${tenantId}::uuid`
  const rows = await ctx.db.read.$queryRaw<readonly Row[]>(sql`
    select event."xid", event."seq", event."at", tenant."name" as "tenant", event."type",
      event."subjectId"::text, event."subjectName", event."data"
    from event left join tenant on tenant."id" = event."tenantId"
    where (event."xid", event."seq") > (${xid}::bigint, ${seq}::bigint) ${own} ${some}
      and event."xid" < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    order by event."xid", event."seq" limit ${limit}::int`)
  return rows.map((row) =>
    shown(Event, {
      id: idOf(row),
      type: row.type,
      at: timestamp(row.at),
      tenant: row.tenant,
      subject: {
        kind: row.type.split('.')[0] ?? '',
        id: row.subjectId,
        name: row.subjectName,
      },
      data: shownJson(Event.properties.data, row.data),
    }),
  )
}

type After = {
  readonly position: Position
  readonly limit: number
  /** Of these types alone. */
  readonly types?: readonly Event['type'][]
}

/** The place from which everything is still to come. */
export async function presentPosition(ctx: Context): Promise<Position> {
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly xid: bigint }[]>(sql`
    select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "xid"`)
  return { xid: row?.xid ?? 0n, seq: 0n }
}

/** Whether events after this place are no longer kept, or it is one that this database never came to. The oldest
 *  that is kept stands for all before it (src/events/forget.ts). The start, 0-0, asks for what is kept. */
export async function isLost(ctx: Context, { xid, seq }: Position): Promise<boolean> {
  if (xid === 0n) return false
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly lost: boolean }[]>(sql`
    select ${xid}::bigint > pg_snapshot_xmax(pg_current_snapshot())::text::bigint or coalesce(
      (select (${xid}::bigint, ${seq}::bigint) < ("xid", "seq") from event
       order by "xid", "seq" limit 1), false) as "lost"`)
  return row?.lost === true
}
