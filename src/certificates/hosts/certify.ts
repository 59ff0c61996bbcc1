import { readyIssuer } from '../../authorities/issuers/ready.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { specOf } from '../../hosts/find.ts'
import { type CompleteSpec, namesOf } from '../../hosts/host.ts'
import { Problem } from '../../shared/problem.ts'
import { policyOf } from '../../tenants/access.ts'
import { noAltNames } from '../../x509/names/altnames.ts'
import { requestDigest } from '../issuance/idempotency.ts'
import { issue } from '../issuance/issue.ts'
import { isTransient, laterWhenBusy } from '../issuance/transient.ts'
import { backoff } from '../renewal/rules.ts'
import { type Checked, checkRequest } from '../vetting/check.ts'
import { daysWithin } from '../vetting/limits.ts'
import type { IssuanceRequest } from '../vetting/request.ts'
import { issuanceRules } from '../vetting/rules.ts'
import { type CertificateNeed, certificateNeed, type HeldCertificate } from './need.ts'

const actor = systemActor('host.certify')

/** Sees that a host has a certificate that fits what it asks for and is not due for renewal, and that
 *  its clusters are told. Driven by what is stored alone: run twice, late, or after a crash, it comes to
 *  the same end. What is refused is tried again an hour later, then after twice as long, up to 32 hours,
 *  or when the host or its tenant's policy is changed. */
export async function certifyHost(ctx: Context, hostId: string): Promise<void> {
  const host = await findHost(ctx.db.read, hostId)
  if (!host || host.removedAt !== null) return
  const spec = await readableSpec(ctx, host)
  if (!spec) return
  const order = await orderFor(ctx, host, spec)
  const why = certificateNeed(heldBy(host, order), {
    name: host.name,
    spec,
    ...order,
    now: ctx.now(),
  })
  const certificateId = why ? await replace(ctx, host, { order, why }) : host.certificateId
  if (certificateId === null) return
  await ctx.db.transaction(async (tx) => {
    const { count } = await tx.host.updateMany({
      where: { id: hostId, generation: host.generation, certificateId: host.certificateId },
      data: { certificateId, certifyFailures: 0 },
    })
    // The host was changed meanwhile: look again.
    if (count === 0) return due(tx, 'host.certify', { hostId })
    await settleRenewal(tx, host, certificateId)
    await tellClusters(tx, { id: hostId, generation: host.generation, certificateId }, ctx.now())
  })
}

/** What the host asks for; undefined, and said on the host, where this release cannot read it. */
async function readableSpec(ctx: Context, host: HostRow): Promise<CompleteSpec | undefined> {
  try {
    return specOf(host)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const urgent = host.certificateId === null
    const why = { message: 'what is asked for cannot be read', urgent }
    await ctx.db.transaction((tx) => fail(tx, host, { why, error, now: ctx.now() }))
    return undefined
  }
}

/** As certifyHost, for a job: what is busy is due again in a moment, so that the slot of the worker is
 *  free for others. */
export async function certifyDueHost(ctx: Context, hostId: string): Promise<void> {
  const job = { kind: 'host.certify', key: { hostId } } as const
  await laterWhenBusy(ctx, job, () => certifyHost(ctx, hostId))
}

/** The one before is not renewed any more; of the one that stays there is nothing to complain. */
async function settleRenewal(tx: Tx, host: HostRow, certificateId: string): Promise<void> {
  if (host.certificateId === null) return
  const where = { id: host.certificateId }
  if (host.certificateId !== certificateId) {
    await tx.certificate.updateMany({ where, data: { autoRenew: false } })
  } else if (host.certificate?.renewError) {
    await tx.certificate.updateMany({ where, data: noFailures })
  }
}

const noFailures = { renewFailures: 0, renewAfter: null, renewError: null } as const

type HostRow = NonNullable<Awaited<ReturnType<typeof findHost>>>

function findHost(tx: Tx, id: string) {
  return tx.host.findUnique({
    where: { id },
    include: {
      tenant: { select: { name: true } },
      certificate: {
        include: {
          authority: { select: { name: true } },
          issuer: {
            select: {
              notAfter: true,
              key: { select: { issuers: { where: { issues: true }, select: { id: true } } } },
            },
          },
        },
      },
    },
  })
}

/** What would be issued now, or why nothing would be. */
type HostOrder = {
  readonly days: number
  readonly checked?: Checked
  readonly refusal?: Problem
}

async function orderFor(ctx: Context, host: HostRow, spec: CompleteSpec): Promise<HostOrder> {
  let days = spec.certificate.validityDays
  try {
    const rules = await issuanceRules(ctx, actor, {
      tenant: host.tenant.name,
      authority: spec.certificate.authority,
      hosts: namesOf(host.name, spec),
    })
    days = daysWithin(days, rules.authority, policyOf(rules.tenant))
    const issuer = await readyIssuer(ctx, rules.authority)
    const checked = { ...rules, issuer, request: requestFor(host.name, spec, days) }
    await checkRequest(ctx, checked)
    return { days, checked }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { days, refusal: error }
  }
}

function heldBy({ certificate }: HostRow, { refusal }: HostOrder): HeldCertificate | undefined {
  if (!certificate) return undefined
  const { subject, issuer } = certificate
  const organization =
    typeof subject === 'object' && subject !== null && 'organization' in subject
      ? String(subject.organization)
      : undefined
  return {
    ...certificate,
    authority: certificate.authority.name,
    organization,
    issuerNotAfter: issuer.notAfter,
    issuerSigns: issuer.key.issuers.length > 0,
    ordered: certificate.replacementId !== null,
    allowed: refusal === undefined,
  }
}

/** Issues the next certificate; null when that is refused. */
async function replace(
  ctx: Context,
  host: HostRow,
  { order, why }: { order: HostOrder; why: CertificateNeed },
): Promise<string | null> {
  try {
    if (!order.checked) throw order.refusal ?? new Error('neither checked nor refused')
    const { id } = await issue(ctx, actor, {
      ...order.checked,
      cause: host.certificateId === null ? 'host' : 'renewal',
      hostId: host.id,
      autoRenew: true,
      ...(host.certificateId === null
        ? {}
        : { replacesId: host.certificateId, reason: why.reason }),
      ...identity(host, why.message),
    })
    return id
  } catch (error) {
    // What is only busy is taken up again by the queue.
    if (!(error instanceof Problem) || isTransient(error)) throw error
    await ctx.db.transaction((tx) => fail(tx, host, { why, error, now: ctx.now() }))
    return null
  }
}

/** Says on the placements, and on the certificate that stays in use, why there is no new one. */
async function fail(
  tx: Tx,
  host: HostRow,
  {
    why,
    error,
    now,
  }: { why: Pick<CertificateNeed, 'message' | 'urgent'>; error: Problem; now: Date },
): Promise<void> {
  const certifyFailures = host.certifyFailures + 1
  const { count } = await tx.host.updateMany({
    where: { id: host.id, generation: host.generation },
    data: { certifyFailures },
  })
  // The host was changed meanwhile, which has made the next look due.
  if (count === 0) return
  const at = new Date(now.getTime() + backoff(certifyFailures))
  const message = `No certificate could be issued (${why.message}): ${error.message}`
  await tx.placement.updateMany({
    where: { hostId: host.id, wanted: true },
    data: { message, ...(why.urgent ? { status: 'Failed', since: now } : {}) },
  })
  if (host.certificateId !== null) {
    const failed = { renewFailures: certifyFailures, renewAfter: at, renewError: error.message }
    await tx.certificate.updateMany({ where: { id: host.certificateId }, data: failed })
  }
  await due(tx, 'host.certify', { hostId: host.id }, at)
}

function requestFor(name: string, spec: CompleteSpec, validityDays: number): IssuanceRequest {
  // RFC 5280 App. A: a commonName has at most 64 characters.
  const commonName = name.length <= 64 ? name : undefined
  const { organization, keyAlgorithm } = spec.certificate
  return {
    profile: 'server',
    subject: {
      ...(commonName === undefined ? {} : { commonName }),
      ...(organization === undefined ? {} : { organization }),
    },
    commonName,
    names: { ...noAltNames, dnsNames: namesOf(name, spec) },
    keyAlgorithm,
    validityDays,
    spki: undefined,
  }
}

/** A retry after a crash finds the certificate that was made for this very need. */
function identity(host: HostRow, reason: string) {
  const need = [host.id, String(host.generation), host.certificateId ?? '', reason]
  const digest = requestDigest(...need)
  return { requestKey: digest, requestHash: digest }
}

async function tellClusters(
  tx: Tx,
  host: { id: string; generation: number; certificateId: string },
  now: Date,
): Promise<void> {
  const placements = await tx.placement.findMany({
    where: { hostId: host.id, wanted: true },
    select: { id: true, clusterId: true, generation: true, certificateId: true, status: true },
  })
  const behind = placements.filter(
    ({ status, generation, certificateId }) =>
      status !== 'Synced' || generation !== host.generation || certificateId !== host.certificateId,
  )
  await tx.placement.updateMany({
    where: { id: { in: behind.map(({ id }) => id) }, status: 'Synced' },
    data: { status: 'Pending', since: now, message: null },
  })
  // One that was served before has a certificate that is about to end, or was revoked.
  const [served, fresh] = [true, false].map((known) =>
    behind
      .filter(({ certificateId }) => (certificateId !== null) === known)
      .map(({ id: placementId, clusterId }) => ({ placementId, clusterId })),
  )
  await dueMany(tx, 'placement.push', served ?? [], { urgency: 'ending' })
  await dueMany(tx, 'placement.push', fresh ?? [])
}
