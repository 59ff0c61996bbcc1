import type { Context } from '../../core/context.ts'
import { uploadedFor } from '../../hosts/certificates/uploaded.ts'
import { specOf } from '../../hosts/find.ts'
import type { CompleteSpec } from '../../hosts/host.ts'
import { Labels } from '../../shared/lists/labels.ts'
import { Problem } from '../../shared/problem.ts'
import { shownJson } from '../../shared/view.ts'
import { orderElsewhere, orderedElsewhere } from '../elsewhere/order.ts'
import { requestDigest } from '../issuance/idempotency.ts'
import { type Issued, issue } from '../issuance/steps.ts'
import { isTransient, laterWhenBusy } from '../issuance/transient.ts'
import { uploadedElsewhere } from '../uploads/elsewhere.ts'
import type { CertificateNeed } from './need.ts'
import { actor, type CertifiedHost, findCertifiedHost, type HostOrder, orderFor } from './order.ts'
import { recordCertificate, recordRefusal } from './outcome.ts'

/** Sees that a host has a certificate that fits what it asks for and is not due for renewal, and that
 *  its clusters are told. Driven by what is stored alone: run twice, late, or after a crash, it comes to
 *  the same end. What is refused is tried again an hour later, then after twice as long, up to 32 hours,
 *  or when the host or its tenant's policy is changed. Somebody who `asked` for its renewal waits for no window. */
export async function certifyHost(ctx: Context, hostId: string, asked = false): Promise<void> {
  const host = await findCertifiedHost(ctx, hostId)
  if (!host || host.removedAt !== null) return
  const spec = await readableSpec(ctx, host)
  if (!spec) return
  const { uploaded: id } = spec.certificate
  if (id !== undefined) return certifyUploaded(ctx, host, { spec, id })
  // 1. What would be issued now, and whether the host needs it.
  const { need, order } = await orderFor(ctx, host, spec, asked)
  // 2. Issued or ordered elsewhere, or why not said on the host.
  const certificateId = need ? await replace(ctx, host, { need, order }) : host.certificateId
  if (certificateId === null) return
  // 3. The host has it, and its clusters are told.
  await recordCertificate(ctx, { host, certificateId })
}

/** Gives a host the uploaded certificate that it names, or the newest of those that took its place; or says on the host
 *  why that cannot serve it, and leaves it the one that it has. Nothing is issued. */
async function certifyUploaded(
  ctx: Context,
  host: CertifiedHost,
  { spec, id }: { readonly spec: CompleteSpec; readonly id: string },
): Promise<void> {
  const { tenantId, name } = host
  const now = ctx.now()
  const { newest, faults } = await uploadedFor(ctx.db.read, id, { tenantId, name, spec, now })
  const [first] = faults
  if (newest && !first) {
    await recordCertificate(ctx, { host, certificateId: newest.id })
    return
  }
  const error = new Problem('host-refused', first?.message ?? 'There is no such certificate')
  const why = { message: '', urgent: true, uploaded: true } as const
  await ctx.db.transaction((tx) => recordRefusal(tx, host, { why, error, now }))
}

/** As certifyHost, for a job: what is busy is due again in a moment, so that the slot of the worker is
 *  free for others. */
export async function certifyDueHost(ctx: Context, hostId: string): Promise<void> {
  const job = { kind: 'host.certify', key: { hostId } } as const
  await laterWhenBusy(ctx, job, () => certifyHost(ctx, hostId))
}

/** What the host asks for; undefined, and said on the host, where this release cannot read it. */
async function readableSpec(ctx: Context, host: CertifiedHost): Promise<CompleteSpec | undefined> {
  try {
    return specOf(host)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const urgent = host.certificateId === null
    const why = { message: 'what is asked for cannot be read', urgent }
    await ctx.db.transaction((tx) => recordRefusal(tx, host, { why, error, now: ctx.now() }))
    return undefined
  }
}

/** Issues the next certificate; null when that is refused. */
async function replace(
  ctx: Context,
  host: CertifiedHost,
  { need, order }: { need: CertificateNeed; order: HostOrder['order'] },
): Promise<string | null> {
  try {
    if ('elsewhere' in order) return await orderElsewhere(ctx, { host, need, ...order })
    return (await issueNext(ctx, host, { need, order })).id
  } catch (error) {
    // What is only busy is taken up again by the queue.
    if (!(error instanceof Problem) || isTransient(error)) throw error
    await ctx.db.transaction((tx) => recordRefusal(tx, host, { why: need, error, now: ctx.now() }))
    return null
  }
}

/** What a host would be issued if its certificate were to be renewed now. Only for a rehearsal, in which nothing is
 *  stored. Throws certificate-refused and the like, host-unknown. */
export async function rehearseCertify(ctx: Context, hostId: string): Promise<Issued> {
  const host = await findCertifiedHost(ctx, hostId)
  if (!host) throw new Problem('host-unknown', 'It was removed just now')
  const spec = specOf(host)
  if (spec.certificate.uploaded !== undefined) throw uploadedElsewhere('renew')
  const { need, order } = await orderFor(ctx, host, spec)
  return issueNext(ctx, host, { need: need ?? { reason: 'asked', message: 'rehearsed' }, order })
}

/** Throws why it may not be issued. */
async function issueNext(
  ctx: Context,
  host: CertifiedHost,
  { need, order }: { need: Omit<CertificateNeed, 'urgent'>; order: HostOrder['order'] },
): Promise<Issued> {
  if (order instanceof Problem) throw order
  if ('elsewhere' in order) throw orderedElsewhere(order.elsewhere.authority.name)
  return issue(ctx, actor, {
    ...order,
    // What was uploaded has successors of its own kind alone.
    ...(host.certificate === null || host.certificate.uploaded !== ''
      ? { cause: 'host' }
      : { cause: 'renewal', replacesId: host.certificate.id, reason: need.reason }),
    hostId: host.id,
    autoRenew: true,
    labels: shownJson(Labels, host.labels),
    ...identity(host, need.message),
  })
}

/** A retry after a crash finds the certificate that was made for this very need. */
function identity(host: CertifiedHost, reason: string) {
  const need = [host.id, String(host.generation), host.certificateId ?? '', reason]
  const digest = requestDigest(...need)
  return { requestKey: digest, requestHash: digest }
}
