import { type Actor, allow, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { due } from '../core/database/due.ts'
import { MomentIdKey, NameKey, pageOf, readCursor } from '../shared/cursor.ts'
import { Problem } from '../shared/problem.ts'
import type { Page, PageQuery } from '../shared/schema.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../shared/view.ts'
import { accessTenant } from '../tenants/access.ts'
import { Notice, type NoticesQuery, Receiver } from './receiver.ts'

/** A receiver by name: a tenant's, or the platform's (null). */
export type ReceiverRef = { readonly tenant: string | null; readonly name: string }

/** The id of the tenant whose receivers are asked for; null: the platform's. Throws tenant-unknown, forbidden. */
export async function accessReceivers(
  ctx: Context,
  actor: Actor,
  tenant: string | null,
  permission: 'read' | 'write-notices',
): Promise<string | null> {
  if (tenant !== null) return (await accessTenant(ctx, actor, { name: tenant, permission })).id
  allow(actor, permission)
  allowPlatform(actor, permission)
  return null
}

const related = { tenant: { select: { name: true } } } as const

type ReceiverRow = Awaited<ReturnType<typeof receiverRow>>
type ReceiverKey = { readonly tenantId: string | null; readonly name: string }

/** The row of this name. */
export function findReceiver(tx: Tx, where: ReceiverKey) {
  return tx.receiver.findFirst({ where, include: related })
}

/** The row of this name. Throws receiver-unknown. */
export async function receiverRow(tx: Tx, where: ReceiverKey) {
  const row = await findReceiver(tx, where)
  if (!row) throw new Problem('receiver-unknown', `There is no receiver "${where.name}"`)
  return row
}

/** One receiver, without what is secret of it. Throws tenant-unknown, receiver-unknown. */
export async function getReceiver(
  ctx: Context,
  actor: Actor,
  { tenant, name }: ReceiverRef,
): Promise<Receiver> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'read')
  return receiverView(await receiverRow(ctx.db.read, { tenantId, name }))
}

/** The receivers by name. Throws tenant-unknown, forbidden. */
export async function listReceivers(
  ctx: Context,
  actor: Actor,
  { tenant, limit = 50, cursor }: PageQuery & { readonly tenant: string | null },
): Promise<Page<Receiver>> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'read')
  const [after] = cursor === undefined ? [] : readCursor(cursor, NameKey)
  const rows = await ctx.db.read.receiver.findMany({
    where: { tenantId, ...(after === undefined ? {} : { name: { gt: after } }) },
    include: related,
    orderBy: { name: 'asc' },
    take: limit + 1,
  })
  return pageOf(rows, limit, { key: ({ name }) => [name], item: receiverView })
}

/** The row as it is shown. */
export function receiverView(row: ReceiverRow): Receiver {
  return shown(Receiver, {
    name: row.name,
    tenant: row.tenant?.name ?? null,
    kind: row.kind,
    target: row.target,
    events: row.events,
    failures: row.failures,
    retryAt: timestampOrNull(row.retryAt),
    createdAt: timestamp(row.createdAt),
    updatedAt: timestamp(row.updatedAt),
  })
}

type NoticeRow = NonNullable<Awaited<ReturnType<Tx['notice']['findFirst']>>>

/** What the receiver was told, newest first, with the attempts. Throws receiver-unknown. */
export async function listNotices(
  ctx: Context,
  actor: Actor,
  { tenant, name, status, limit = 50, cursor }: ReceiverRef & NoticesQuery,
): Promise<Page<Notice>> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'read')
  const { id: receiverId } = await receiverRow(ctx.db.read, { tenantId, name })
  const rows = await ctx.db.read.notice.findMany({
    where: {
      receiverId,
      ...(status === undefined ? {} : { status }),
      ...(cursor === undefined ? {} : before(cursor)),
    },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: limit + 1,
  })
  return pageOf(rows, limit, {
    key: ({ createdAt, id }) => [timestamp(createdAt), id],
    item: noticeView,
  })
}

function before(cursor: string) {
  const [at, id] = readCursor(cursor, MomentIdKey)
  return { OR: [{ createdAt: { lt: at } }, { createdAt: at, id: { lt: id } }] }
}

function noticeView(row: NoticeRow): Notice {
  return shown(Notice, {
    id: row.id,
    type: row.type,
    status: row.status,
    createdAt: timestamp(row.createdAt),
    payload: shownJson(Notice.properties.payload, row.payload),
    attempts: shownJson(Notice.properties.attempts, row.attempts),
  })
}

/** Sends a notice once more, under the same id, whatever became of it. Throws receiver-unknown, notice-unknown. */
export async function replayNotice(
  ctx: Context,
  actor: Actor,
  { tenant, name, id }: ReceiverRef & { readonly id: string },
): Promise<Notice> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'write-notices')
  const { id: receiverId } = await receiverRow(ctx.db.read, { tenantId, name })
  return ctx.db.transaction(async (tx) => {
    const { count } = await tx.notice.updateMany({
      where: { id, receiverId },
      data: { status: 'pending', tries: 0, dueAt: ctx.now() },
    })
    if (count === 0) throw new Problem('notice-unknown', `"${name}" was sent no notice ${id}`)
    await tx.receiver.updateMany({ where: { id: receiverId }, data: { retryAt: null } })
    await due(tx, 'notice.send', { noticeId: id, receiverId })
    return noticeView(await tx.notice.findUniqueOrThrow({ where: { id } }))
  })
}
