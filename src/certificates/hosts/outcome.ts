import type { Tx } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { labelCertificate } from '../../hosts/marks.ts'
import type { Problem } from '../../shared/problem.ts'
import { backoff } from '../renewal/rules.ts'
import type { CertificateNeed } from './need.ts'
import type { CertifiedHost } from './order.ts'

/** Gives a host the certificate that it is to have from now on, and tells its clusters. The host as it is
 *  now counts: was it changed since `host` was read, it is looked at again. */
export async function recordCertificate(
  tx: Tx,
  host: CertifiedHost,
  { certificateId, now }: { certificateId: string; now: Date },
): Promise<void> {
  const { id: hostId, generation } = host
  const { count } = await tx.host.updateMany({
    where: { id: hostId, generation, certificateId: host.certificateId },
    data: { certificateId, certifyFailures: 0 },
  })
  if (count === 0) return due(tx, 'host.certify', { hostId })
  // They may have been changed while it was issued.
  await labelCertificate(tx, hostId)
  await settleRenewal(tx, host, certificateId)
  await tellClusters(tx, { id: hostId, generation, certificateId }, now)
}

/** The one before is not renewed any more; of the one that stays there is nothing to complain. */
async function settleRenewal(tx: Tx, host: CertifiedHost, certificateId: string): Promise<void> {
  if (host.certificateId === null) return
  const where = { id: host.certificateId }
  if (host.certificateId !== certificateId) {
    await tx.certificate.updateMany({ where, data: { autoRenew: false } })
  } else if (host.certificate?.renewError) {
    await tx.certificate.updateMany({ where, data: noFailures })
  }
}

const noFailures = { renewFailures: 0, renewAfter: null, renewError: null } as const

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

/** Says on the placements, and on the certificate that stays in use, why there is no new one. */
export async function recordRefusal(
  tx: Tx,
  host: CertifiedHost,
  { why, error, now }: { why: Omit<CertificateNeed, 'reason'>; error: Problem; now: Date },
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
