import { type Actor, allow } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { joinSql, quoted, type Sql, sql, type Tx } from '../core/database/db.ts'
import { type Listing, listRows, when } from '../core/database/lists.ts'
import { type Row, rowsOf } from '../core/database/rows.ts'
import type { List } from '../shared/lists/query.ts'
import { Problem, refuse } from '../shared/problem.ts'
import { shown, shownJson, timestamp } from '../shared/view.ts'
import { addressOf } from './address.ts'
import { AuditEvent, type AuditQuery, type AuditSort } from './event.ts'

/** What is read at once where everything is read. */
const batchSize = 500

const auditRows = rowsOf('AuditEvent', {})

export type AuditRow = Row<typeof auditRows>

/** How the events that match are listed. Those of a period are sought in the order of time: it is that of
 *  numbers, but where clocks differ, and a period is no range of numbers then. */
function listingOf({ from, to }: AuditFilter): Listing<AuditSort, AuditRow> {
  const seq = { member: 'seq', kind: 'bigint' } as const
  const at = { member: 'at', kind: 'timestamptz' } as const
  return {
    rows: auditRows,
    usual: '-seq',
    orders: { seq: from === undefined && to === undefined ? [seq] : [at, seq] },
  }
}

/** The audit trail, newest first unless asked otherwise. The API key of a tenant sees what concerns that
 *  tenant. Throws forbidden, tenant-unknown, request-invalid, cursor-refused. */
export async function findAuditEvents(
  ctx: Context,
  actor: Actor,
  query: AuditQuery,
): Promise<List<AuditEvent>> {
  const conditions = await matching(ctx, actor, query)
  const listing = listingOf(query)
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: await eventViews(ctx, page.items) }
}

/** In the order that they are asked for; one that was taken away is missed out. */
async function eventsBySeq(tx: Tx, seqs: readonly bigint[]): Promise<readonly AuditRow[]> {
  const rows = await tx.auditEvent.findMany({ where: { seq: { in: [...seqs] } } })
  const bySeq = new Map(rows.map((row) => [row.seq, row]))
  return seqs.flatMap((seq) => bySeq.get(seq) ?? [])
}

/** All events that match and are there now, oldest first, batch by batch: how many there are does
 *  not matter to the memory that it takes. Throws before the first batch, as findAuditEvents. */
export async function exportAuditEvents(
  ctx: Context,
  actor: Actor,
  filter: AuditFilter,
): Promise<AsyncIterable<readonly AuditEvent[]>> {
  const conditions = await matching(ctx, actor, filter)
  const { orders } = listingOf(filter)
  const columns = orders.seq.map(({ member }) => quoted(member))
  const [last] = await ctx.db.read.$queryRaw<readonly Place[]>(sql`
    select "seq", "at" from audit_event where ${joinSql([sql`true`, ...conditions], ' and ')}
    order by ${joinSql(columns, ' desc, ')} desc limit 1`)
  return last ? batches(ctx, { columns, conditions, last }) : none()
}

/** Where an export has come to, or ends. */
type Place = { readonly seq: bigint; readonly at: Date }

type Exported = {
  readonly columns: readonly Sql[]
  readonly conditions: readonly Sql[]
  readonly last: Place
}

async function* none() {}

async function* batches(ctx: Context, { columns, conditions, last }: Exported) {
  const valuesOf = ({ seq, at }: Place) =>
    joinSql(
      columns.length === 1 ? [sql`${seq}::bigint`] : [sql`${at}::timestamptz`, sql`${seq}::bigint`],
    )
  let seen: Place | undefined = { seq: 0n, at: new Date(0) }
  while (seen) {
    const place = [
      sql`(${joinSql([...columns])}) > (${valuesOf(seen)})`,
      sql`(${joinSql([...columns])}) <= (${valuesOf(last)})`,
    ]
    const found: readonly Place[] = await ctx.db.read.$queryRaw<readonly Place[]>(sql`
      select "seq", "at" from audit_event where ${joinSql([...place, ...conditions], ' and ')}
      order by ${joinSql([...columns])} limit ${batchSize}::int`)
    const seqs = found.map(({ seq }) => seq)
    seen = found.length < batchSize ? undefined : found.at(-1)
    yield await eventViews(ctx, await eventsBySeq(ctx.db.read, seqs))
  }
}

/** The events from a link on (`chain.index`), in the order of their links: one without a gap, to which nothing is
 *  ever added but at its end. `end` is the link after them; an event that was taken away is missed out. */
export async function linkedEvents(
  ctx: Context,
  from: bigint,
  most: number,
): Promise<{ readonly events: readonly AuditEvent[]; readonly end: bigint }> {
  const links = await ctx.db.read.auditLink.findMany({
    where: { index: { gte: from } },
    orderBy: { index: 'asc' },
    take: most,
    select: { seq: true, index: true },
  })
  const rows = await eventsBySeq(
    ctx.db.read,
    links.map(({ seq }) => seq),
  )
  return { events: await eventViews(ctx, rows), end: (links.at(-1)?.index ?? from - 1n) + 1n }
}

type AuditFilter = Omit<AuditQuery, 'limit' | 'cursor' | 'sort' | 'count' | 'fields' | 'cursors'>

async function matching(ctx: Context, actor: Actor, filter: AuditFilter): Promise<readonly Sql[]> {
  allow(actor, 'read-audit')
  const tenantId = await auditedTenant(ctx, actor, filter.tenant)
  const { actor: by } = filter
  return [
    ...(by === undefined ? [] : [await done(ctx, by)]),
    ...when(tenantId ?? undefined, (one) => sql`"tenantId" = ${one}::uuid`),
    ...when(filter.action, (one) => sql`"action" = ${one}`),
    ...when(filter.subjectKind, (one) => sql`"subjectKind" = ${one}`),
    ...when(filter.subjectId, (one) => sql`"subjectId" = ${one}`),
    ...when(filter.subject, (one) => sql`"subjectName" = ${one}`),
    ...when(filter.actorKind, (one) => sql`"actorKind" = ${one}`),
    ...when(
      filter.address,
      (one) => sql`("subjectKind" = 'address' and "subjectId" = ${knownAddress(one)})`,
    ),
    ...when(filter.requestId, (one) => sql`"requestId" = ${one}`),
    ...when(filter.from, (one) => sql`"at" >= ${new Date(one)}::timestamptz`),
    ...when(filter.to, (one) => sql`"at" < ${new Date(one)}::timestamptz`),
  ]
}

/** What somebody did, by their name or id: by the one of these that the trail has, since for either of the two
 *  PostgreSQL would read all events. */
async function done(ctx: Context, by: string): Promise<Sql> {
  const [row] = await ctx.db.read.$queryRaw<readonly { named: boolean; known: boolean }[]>(sql`
    select (select true from audit_event where "actorName" = ${by} order by "seq" limit 1) as named,
      (select true from audit_event where "actorId" = ${by} order by "seq" limit 1) as known`)
  const name = sql`"actorName" = ${by}`
  const id = sql`"actorId" = ${by}`
  if (row?.named && row.known) return sql`(${name} or ${id})`
  return row?.known ? id : name
}

/** Throws request-invalid for what is no address: of those that are not known it is asked by that word. */
function knownAddress(text: string): string {
  const address = addressOf(text)
  if (address === 'unknown' && text !== address) {
    refuse('request-invalid', [{ field: '/address', message: 'Send an address, or unknown' }])
  }
  return address
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
      ...chainEntryOf(row),
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
export function chainEntryOf(row: AuditRow) {
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
