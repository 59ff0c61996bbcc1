import { type Actor, allow } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { pageOf, readCursor, SequenceKey } from '../shared/cursor.ts'
import { Problem } from '../shared/problem.ts'
import type { Page } from '../shared/schema.ts'
import { shown, shownJson, timestamp } from '../shared/view.ts'
import { AuditEvent, type AuditQuery } from './event.ts'

/** What is read at once where everything is read. */
const batchSize = 500

export type AuditRow = Awaited<ReturnType<Tx['auditEvent']['findMany']>>[number]

/** The audit trail, newest first. The API key of a tenant sees what concerns that tenant. Throws
 *  forbidden, tenant-unknown, request-invalid, cursor-refused. */
export async function findAuditEvents(
  ctx: Context,
  actor: Actor,
  filter: AuditQuery,
): Promise<Page<AuditEvent>> {
  const where = await matching(ctx, actor, filter)
  const { limit = 50, cursor } = filter
  const rows = await ctx.db.read.auditEvent.findMany({
    where: { AND: [where, cursor === undefined ? {} : { seq: { lt: seqOf(cursor) } }] },
    orderBy: { seq: 'desc' },
    take: limit + 1,
  })
  const page = pageOf(rows, limit, { key: ({ seq }) => [String(seq)], item: (row) => row })
  return { ...page, items: await eventViews(ctx, page.items) }
}

/** All events that match and are there now, oldest first, batch by batch: how many there are does
 *  not matter to the memory that it takes. Throws before the first batch, as findAuditEvents. */
export async function exportAuditEvents(
  ctx: Context,
  actor: Actor,
  filter: Omit<AuditQuery, 'limit' | 'cursor'>,
): Promise<AsyncIterable<readonly AuditEvent[]>> {
  const where = await matching(ctx, actor, filter)
  const last = await ctx.db.read.auditEvent.findFirst({
    where,
    orderBy: { seq: 'desc' },
    select: { seq: true },
  })
  return batches(ctx, where, last?.seq ?? 0n)
}

async function* batches(ctx: Context, where: Where, last: bigint) {
  let seen = 0n
  while (seen < last) {
    const rows = await ctx.db.read.auditEvent.findMany({
      where: { AND: [where, { seq: { gt: seen, lte: last } }] },
      orderBy: { seq: 'asc' },
      take: batchSize,
    })
    seen = rows.length < batchSize ? last : (rows.at(-1)?.seq ?? last)
    yield await eventViews(ctx, rows)
  }
}

type Where = Awaited<ReturnType<typeof matching>>

async function matching(ctx: Context, actor: Actor, filter: AuditQuery) {
  allow(actor, 'read-audit')
  const tenantId = await auditedTenant(ctx, actor, filter.tenant)
  const { action, subjectKind, subjectId, actor: by, requestId, from, to } = filter
  return {
    ...(tenantId === null ? {} : { tenantId }),
    ...(action === undefined ? {} : { action }),
    ...(subjectKind === undefined ? {} : { subjectKind }),
    ...(subjectId === undefined ? {} : { subjectId }),
    ...(by === undefined ? {} : { OR: [{ actorName: by }, { actorId: by }] }),
    ...(requestId === undefined ? {} : { requestId }),
    at: {
      ...(from === undefined ? {} : { gte: new Date(from) }),
      ...(to === undefined ? {} : { lt: new Date(to) }),
    },
  }
}

/** The id of the tenant that is read about; null: everything, the platform's own among it. Throws
 *  tenant-unknown. */
export async function auditedTenant(
  ctx: Context,
  actor: Actor,
  name: string | undefined,
): Promise<string | null> {
  if (name === undefined) return actor.tenantId
  const tenant = await ctx.db.read.tenant.findUnique({ where: { name }, select: { id: true } })
  if (!tenant || (actor.tenantId !== null && actor.tenantId !== tenant.id)) {
    throw new Problem('tenant-unknown', `There is no tenant "${name}"`)
  }
  return tenant.id
}

function seqOf(cursor: string): bigint {
  const [seq] = readCursor(cursor, SequenceKey)
  return BigInt(seq)
}

/** The rows as they are shown, with the tenants' names and the places in their chains in as many statements
 *  for many as for one. */
async function eventViews(ctx: Context, rows: readonly AuditRow[]): Promise<AuditEvent[]> {
  const names = await tenantNames(ctx, rows)
  const links = await ctx.db.read.auditLink.findMany({
    where: { seq: { in: rows.map(({ seq }) => seq) } },
  })
  const places = new Map(links.map((link) => [link.seq, link]))
  return rows.map((row) => {
    const link = places.get(row.seq)
    return shown(AuditEvent, {
      ...entryOf(row),
      tenant: row.tenantId === null ? null : (names.get(row.tenantId) ?? null),
      chain: link
        ? {
            id: link.chain,
            position: String(link.position),
            index: String(link.index),
            hash: Buffer.from(link.hash).toString('hex'),
          }
        : null,
    })
  })
}

/** What of an event its chain holds, as it is told. */
export function entryOf(row: AuditRow) {
  return {
    seq: String(row.seq),
    at: timestamp(row.at),
    actor: { kind: row.actorKind, id: row.actorId, name: row.actorName },
    requestId: row.requestId,
    action: row.action,
    subject: { kind: row.subjectKind, id: row.subjectId, name: row.subjectName },
    changes: shownJson(AuditEvent.properties.changes, row.changes),
  }
}

/** Tenants by id, also those that are gone: the trail remembers what they were called. */
async function tenantNames(ctx: Context, rows: readonly AuditRow[]): Promise<Map<string, string>> {
  const ids = [...new Set(rows.flatMap(({ tenantId }) => (tenantId === null ? [] : [tenantId])))]
  if (ids.length === 0) return new Map()
  const found = await ctx.db.read.tenant.findMany({
    where: { id: { in: ids } },
    select: { id: true, name: true },
  })
  const names = new Map(found.map(({ id, name }) => [id, name]))
  const gone = ids.filter((id) => !names.has(id))
  if (gone.length === 0) return names
  const made = await ctx.db.read.auditEvent.findMany({
    where: { subjectKind: 'tenant', subjectId: { in: gone }, action: 'tenant.created' },
    select: { subjectId: true, subjectName: true },
  })
  for (const { subjectId, subjectName } of made) names.set(subjectId, subjectName)
  return names
}
