import Value from 'typebox/value'
import { type AuditAction, record } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import { canonical } from '../../core/canonical.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import { isInForce, peopleBehind } from '../../tenants/apikeys/creators.ts'
import { authoritySubject } from '../authority.ts'
import { changeAuthority } from '../change.ts'
import { crossSign } from '../issuers/crosssign.ts'
import { revokeIssuer } from '../issuers/revoke.ts'
import { removeAuthority } from '../remove.ts'
import { retireRotated } from '../rotation/advance.ts'
import { rotateAuthority } from '../rotation/rotate.ts'
import { type ApprovalRow, approvalView, findApproval } from './find.ts'
import { doApproved } from './policy.ts'
import { type Approval, NewApproval } from './schema.ts'

type Named = { readonly authority: string; readonly id: string }

/** Approves what another person asked for, and with that does it: both in one transaction. When it cannot be done it
 *  stays asked for. Throws authority-unknown, approval-unknown, approval-settled, approval-own, and what the action
 *  throws. */
export async function approve(ctx: Context, actor: Actor, named: Named): Promise<Approval> {
  allowPlatform(actor, 'write-authorities')
  const row = await findApproval(ctx, { name: named.authority, id: named.id })
  refuseSettled(ctx, row)
  await refuseOne(ctx, actor, row)
  const { request } = row
  // Of another release: who reads it here does not know what it would do.
  if (!Value.Check(NewApproval, request))
    throw settled('another release asked for it, in a form that is not known here')
  const decision = { actor, row, name: named.authority, state: 'done' } as const
  return doApproved(
    ctx,
    (tx) => decide(ctx, tx, decision),
    (within) => carryOut(within, actor, { name: named.authority, request }),
  )
}

/** Says no to what was asked for; who asked may say so, too. Throws authority-unknown, approval-unknown,
 *  approval-settled. */
export async function reject(ctx: Context, actor: Actor, named: Named): Promise<Approval> {
  allowPlatform(actor, 'write-authorities')
  const row = await findApproval(ctx, { name: named.authority, id: named.id })
  refuseSettled(ctx, row)
  const decision = { actor, row, name: named.authority, state: 'rejected' } as const
  return ctx.db.transaction((tx) => decide(ctx, tx, decision))
}

function settled(why: string): Problem {
  return new Problem('approval-settled', `Nothing is left to decide: ${why}`)
}

function refuseSettled(ctx: Context, { state, expiresAt, decidedByName }: ApprovalRow): void {
  if (state !== 'pending') throw settled(`"${decidedByName}" decided, it is ${state}`)
  if (expiresAt <= ctx.now()) throw settled(`it ended at ${expiresAt.toISOString()}; ask again`)
}

/** Two people: not who asked, nor a key that one of them made, nor two keys that one person made. */
async function refuseOne(ctx: Context, actor: Actor, row: ApprovalRow): Promise<void> {
  const asker = { id: row.askedById, kind: row.askedByKind }
  if (!(await isInForce(ctx, asker))) {
    throw settled(`"${row.askedByName}", who asked, is not in force any more; ask again`)
  }
  const one = await peopleBehind(ctx.db.read, asker.id)
  const other = actor.id === null ? [] : await peopleBehind(ctx.db.read, actor.id)
  if (other.length > 0 && !other.some((id) => one.includes(id))) return
  throw new Problem(
    'approval-own',
    `"${actor.name}" and "${row.askedByName}", who asked, are one person as far as is known here: another person has to approve it`,
  )
}

type Decision = {
  readonly actor: Actor
  readonly row: ApprovalRow
  readonly name: string
  readonly state: 'done' | 'rejected'
}

const told: Readonly<Record<Decision['state'], AuditAction>> = {
  done: 'authority.approval-given',
  rejected: 'authority.approval-rejected',
}

/** Of two who decide at once one does. Throws approval-settled. */
async function decide(
  ctx: Context,
  tx: Tx,
  { actor, row, name, state }: Decision,
): Promise<Approval> {
  const now = ctx.now()
  const { id } = row
  const by = { decidedByKind: actor.kind, decidedById: actor.id, decidedByName: actor.name }
  const data = { state, ...by, decidedAt: now }
  const where = { id, state: 'pending', expiresAt: { gt: now } }
  const { count } = await tx.approval.updateMany({ where, data })
  if (count === 0) throw settled('somebody else was first')
  const { tenantId } = await tx.authority.findUniqueOrThrow({ where: { id: row.authorityId } })
  await record(tx, { actor, now }, told[state], {
    subject: authoritySubject({ id: row.authorityId, name, tenantId }),
    changes: { approval: id, request: canonical(row.request), askedBy: row.askedByName },
  })
  return approvalView({ ...row, ...data }, { name, now })
}

async function carryOut(
  ctx: Context,
  actor: Actor,
  { name, request }: { readonly name: string; readonly request: NewApproval },
): Promise<unknown> {
  const { action, rotation = {}, issuer = '', reason = 'unspecified', by = '' } = request
  const authority = name
  switch (action) {
    case 'rotate':
      return rotateAuthority(ctx, actor, { authority, request: rotation })
    case 'retire-rotated':
      return retireRotated(ctx, actor, name)
    case 'revoke-issuer':
      return revokeIssuer(ctx, actor, { authority, id: issuer, reason })
    case 'cross-sign':
      return crossSign(ctx, actor, { authority, by })
    case 'remove':
      return removeAuthority(ctx, actor, name)
    case 'one-person':
      return changeAuthority(ctx, actor, { name, patch: { approval: 'one-person' } })
  }
}
