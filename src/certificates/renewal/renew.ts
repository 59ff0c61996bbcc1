import { type Actor, systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Labels } from '../../shared/lists/labels.ts'
import { Problem } from '../../shared/problem.ts'
import { shownJson } from '../../shared/view.ts'
import { accessTenant, readTenant, windowsOf } from '../../tenants/access.ts'
import type { Certificate } from '../certificate.ts'
import { certificateView, getCertificate } from '../find.ts'
import { isRepeated, type RequestIdentity } from '../issuance/idempotency.ts'
import { issueWithinQuota } from '../issuance/issue.ts'
import { type Issued, issue } from '../issuance/steps.ts'
import { isTransient, laterWhenBusy } from '../issuance/transient.ts'
import { uploadedElsewhere } from '../uploads/elsewhere.ts'
import { type AllowedRequest, allowed, type CheckedRequest } from '../vetting/check.ts'
import { renewOnHost } from './onhost.ts'
import { type RenewalRequest, renewalIdentity, renewalOrder } from './order.ts'
import {
  findPredecessor,
  isReplaceable,
  type PredecessorRow,
  recordRefused,
  recordReplaced,
  refuseReplaced,
  retire,
  successorOf,
} from './predecessor.ts'
import { type RenewalReason, renewalReason, renewalState } from './rules.ts'

/** Replaces a certificate by one of the same names, as policy and authority allow it today, and answers
 *  that one. A certificate whose key was made here gets a new key; one whose caller kept it needs a new
 *  CSR, which for a revoked one must be of another key. One of a host is replaced on the host, and its
 *  clusters are told. Throws tenant-unknown, certificate-unknown, certificate-unfinished,
 *  certificate-replaced, certificate-refused, idempotency-mismatch, authority-keyless. */
export async function renewCertificate(
  ctx: Context,
  actor: Actor,
  request: RenewalRequest,
): Promise<Certificate> {
  const { id, csr } = request
  const tenant = await accessTenant(ctx, actor, {
    name: request.tenant,
    permission: 'write-certificates',
  })
  const row = await findPredecessor(ctx.db.read, id)
  if (!row || row.tenantId !== tenant.id) {
    throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  }
  if (row.uploaded !== '') throw uploadedElsewhere('renew')
  if (row.cause === 'probe') {
    throw new Problem('certificate-refused', 'It was made to prove hosts by, and is never renewed')
  }
  if (row.status === 'signing') {
    throw new Problem('certificate-unfinished', 'It is still being signed; ask again in a moment')
  }
  const { id: next, row: made } =
    row.hostId === null
      ? await renewOwn(ctx, actor, {
          request,
          row,
          order: await renewalOrder(ctx, tenant, { row, csr }),
        })
      : await renewOnHost(ctx, actor, { tenant, row, csr })
  // What is rehearsed is nowhere to be read.
  if (ctx.rehearses && made) return certificateView(ctx, made)
  return getCertificate(ctx, actor, { tenant: tenant.name, id: next })
}

/** Of one that no host has. Who asked before is answered again, whatever the rules have become since. */
async function renewOwn(
  ctx: Context,
  actor: Actor,
  { request, row, order }: { request: RenewalRequest; row: PredecessorRow; order: CheckedRequest },
): Promise<Issued> {
  const identity = renewalIdentity(actor, row, request)
  if (!(await isRepeated(ctx, identity))) {
    refuseReplaced(row)
    allowed(order)
  }
  const reason = row.status === 'revoked' ? 'revoked' : 'asked'
  return replace(ctx, actor, { row, order, reason, identity })
}

const automatic = systemActor('certificate.renew')

/** Renews a certificate whose key was made here, if it is to be: driven by what is stored alone, so
 *  that it may run twice, late, or after a crash. What is refused is tried again later and later; what is
 *  busy is due again in a moment, so that the slot of the worker is free for others. */
export async function renewDue(ctx: Context, certificateId: string): Promise<void> {
  const job = { kind: 'certificate.renew', key: { certificateId } } as const
  await laterWhenBusy(ctx, job, () => renewByItself(ctx, certificateId))
}

async function renewByItself(ctx: Context, certificateId: string): Promise<void> {
  const row = await findPredecessor(ctx.db.read, certificateId)
  if (!row || row.hostId !== null || row.keySource !== 'server') return
  if (row.status === 'signing' || (!row.autoRenew && row.replacementId === null)) return
  if (successorOf(row)) return retire(ctx.db.read, row.id)
  const tenant = await readTenant(ctx.db.read, row.tenant.name)
  if (!tenant) return
  try {
    const order = await renewalOrder(ctx, tenant, { row, csr: undefined })
    const held = { ...row, ...renewalState(row), allowed: order.faults.length === 0 }
    const reason = renewalReason({ ...held, windows: windowsOf(tenant) }, ctx.now())
    if (reason === undefined) return
    // Whoever revoked it wants it no more; one that ended before its turn is renewed all the same.
    if (reason === 'revoked') return retire(ctx.db.read, row.id)
    if (reason === 'ended' && !row.autoRenew) return
    const identity = renewalIdentity(automatic, row, { csr: undefined, idempotencyKey: undefined })
    await replace(ctx, automatic, { row, order: allowed(order), reason, identity })
  } catch (error) {
    // What is only busy is asked again by the queue.
    if (!(error instanceof Problem) || isTransient(error)) throw error
    await recordRefused(ctx, row, error)
  }
}

type Replacement = {
  readonly row: PredecessorRow
  readonly order: AllowedRequest
  readonly reason: RenewalReason
  readonly identity: RequestIdentity
}

async function replace(
  ctx: Context,
  actor: Actor,
  { row, order, reason, identity }: Replacement,
): Promise<Issued> {
  const place = isReplaceable(row, ctx.now()) ? issue : issueWithinQuota
  const issued = await place(ctx, actor, {
    ...order,
    cause: 'renewal',
    replacesId: row.id,
    reason,
    autoRenew: row.autoRenew,
    labels: shownJson(Labels, row.labels),
    ...identity,
  })
  if (!ctx.rehearses) await recordReplaced(ctx, row.id)
  return issued
}
