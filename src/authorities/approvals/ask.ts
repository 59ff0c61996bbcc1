import { record } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import { canonical } from '../../core/canonical.ts'
import { type Context, newId } from '../../core/context.ts'
import { json, type Tx } from '../../core/database/db.ts'
import { brokenRules } from '../../shared/brokenrules.ts'
import { day } from '../../shared/moment.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { authoritySubject } from '../authority.ts'
import { currentIssuer, issuingAuthority } from '../issuers/current.ts'
import { lockAuthority } from '../lock.ts'
import { approvalView } from './find.ts'
import type { Approval, NewApproval } from './schema.ts'

/** For how long what was asked for can be approved. */
const life = 3 * day
const mostPending = 20

/** Asks for a change of the key of an authority, which another person approves or rejects within three days. Nothing
 *  is done yet. Throws authority-unknown, request-invalid, approval-exists. */
export async function askApproval(
  ctx: Context,
  actor: Actor,
  { authority: name, request }: { readonly authority: string; readonly request: NewApproval },
): Promise<Approval> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  // A CA elsewhere can be removed; all else is about a key that is not here.
  if (request.action !== 'remove') currentIssuer(authority)
  refuseOdd(request)
  if (actor.id === null) throw new Error('nobody asks the service to approve what it does itself')
  const now = ctx.now()
  const expiresAt = new Date(now.getTime() + life)
  const asked = {
    askedByKind: actor.kind,
    askedById: actor.id,
    askedByName: actor.name,
    askedAt: now,
  }
  const own = { id: newId(now), authorityId: authority.id, state: 'pending' }
  return ctx.db.transaction(async (tx) => {
    await lockAuthority(tx, authority)
    await refuseTwice(tx, { authorityId: authority.id, request, now })
    const data = { ...own, ...asked, expiresAt, request: json(request) }
    const row = await tx.approval.create({ data })
    await record(tx, { actor, now }, 'authority.approval-asked', {
      subject: authoritySubject(authority),
      changes: {
        approval: row.id,
        request: canonical(request),
        expiresAt: expiresAt.toISOString(),
      },
    })
    return approvalView(row, { name, now })
  })
}

/** What belongs to another action would be read by who decides, and not be done. */
function refuseOdd({ action, rotation, issuer, reason, by }: NewApproval): void {
  const faults: readonly (readonly [string, string | undefined])[] = [
    ['/rotation', rotation && action !== 'rotate' ? 'It belongs to rotate' : undefined],
    ['/reason', reason && action !== 'revoke-issuer' ? 'It belongs to revoke-issuer' : undefined],
    ['/issuer', belongs(issuer, { action, to: 'revoke-issuer' })],
    ['/by', belongs(by, { action, to: 'cross-sign' })],
  ]
  refuse(
    'request-invalid',
    faults.flatMap(([field, message]) => (message === undefined ? [] : [{ field, message }])),
  )
}

function belongs(value: string | undefined, { action, to }: { action: string; to: string }) {
  return brokenRules([
    [value !== undefined && action !== to, `It belongs to ${to}`],
    [value === undefined && action === to, `${to} needs it`],
  ])[0]
}

async function refuseTwice(
  tx: Tx,
  { authorityId, request, now }: { authorityId: string; request: NewApproval; now: Date },
): Promise<void> {
  const where = { authorityId, state: 'pending', expiresAt: { gt: now } }
  const pending = await tx.approval.findMany({ where, take: mostPending })
  const plain = ({ comment: _, ...asked }: NewApproval) => canonical(asked)
  const same = pending.find((row) => plain(Object(row.request)) === plain(request))
  if (same) throw new Problem('approval-exists', `It was asked for as ${same.id}`)
  if (pending.length < mostPending) return
  throw new Problem(
    'approval-exists',
    `${mostPending} wait for a decision: decide about these first`,
  )
}
