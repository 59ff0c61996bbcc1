import Type from 'typebox'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { byMade, listRows, when } from '../../core/database/lists.ts'
import { rowsOf } from '../../core/database/rows.ts'
import { type Cursored, type List, listQuery, MadeSort } from '../../shared/lists/query.ts'
import { Problem } from '../../shared/problem.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../../shared/view.ts'
import { issuingAuthority } from '../issuers/current.ts'
import { Approval } from './schema.ts'

/** Which of them are listed. */
export const ApprovalQuery = listQuery(MadeSort, {
  pending: Type.Optional(Type.Boolean({ description: 'Whether they can still be decided about' })),
})
export type ApprovalQuery = Cursored<Type.Static<typeof ApprovalQuery>>

const listing = byMade(rowsOf('Approval', {}), 'askedAt')

/** What was asked for of the key of an authority, oldest first unless asked otherwise. Throws authority-unknown,
 *  cursor-refused. */
export async function listApprovals(
  ctx: Context,
  actor: Actor,
  { authority: name, ...query }: ApprovalQuery & { readonly authority: string },
): Promise<List<Approval>> {
  allowPlatform(actor, 'read')
  const { id: authorityId } = await issuingAuthority(ctx, { name, tenantId: null })
  const now = ctx.now()
  const conditions = [
    sql`approval."authorityId" = ${authorityId}::uuid`,
    ...when(
      query.pending,
      (one) => sql`(approval."state" = 'pending' and approval."expiresAt" > ${now}) = ${one}`,
    ),
  ]
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: page.items.map((row) => approvalView(row, { name, now })) }
}

/** One of them. Throws authority-unknown, approval-unknown. */
export async function getApproval(
  ctx: Context,
  actor: Actor,
  { authority: name, id }: { readonly authority: string; readonly id: string },
): Promise<Approval> {
  allowPlatform(actor, 'read')
  return approvalView(await findApproval(ctx, { name, id }), { name, now: ctx.now() })
}

/** Its row. Throws authority-unknown, approval-unknown. */
export async function findApproval(
  ctx: Context,
  { name, id }: { readonly name: string; readonly id: string },
): Promise<ApprovalRow> {
  const { id: authorityId } = await issuingAuthority(ctx, { name, tenantId: null })
  const row = await ctx.db.read.approval.findFirst({ where: { id, authorityId } })
  if (row) return row
  throw new Problem('approval-unknown', `Nothing was asked for of "${name}" as ${id}`)
}

export type ApprovalRow = NonNullable<
  Awaited<ReturnType<Context['db']['read']['approval']['findFirst']>>
>

/** The row as it is shown. */
export function approvalView(
  row: ApprovalRow,
  { name, now }: { readonly name: string; readonly now: Date },
): Approval {
  const { decidedByKind: kind, decidedById, decidedByName } = row
  const late = row.state === 'pending' && row.expiresAt <= now
  return shown(Approval, {
    id: row.id,
    authority: name,
    request: shownJson(Approval.properties.request, row.request),
    state: late ? 'expired' : row.state,
    askedBy: { kind: row.askedByKind, id: row.askedById, name: row.askedByName },
    askedAt: timestamp(row.askedAt),
    expiresAt: timestamp(row.expiresAt),
    decidedBy: kind === null ? null : { kind, id: decidedById ?? '', name: decidedByName ?? '' },
    decidedAt: timestampOrNull(row.decidedAt),
  })
}
