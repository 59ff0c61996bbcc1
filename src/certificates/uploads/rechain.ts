import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Tx } from '../../core/database/db.ts'
import { dueMany, placementKeys } from '../../core/database/due.ts'
import { pathPem, subjectText } from '../../x509/certificates/path.ts'
import { lockCertificate } from '../lock.ts'
import { certificateName } from '../name.ts'
import { tellDeliveries } from '../renewal/predecessor.ts'
import type { ServedCertificate } from './served.ts'

type Rechained = {
  readonly id: string
  readonly standing: ServedCertificate
  readonly actor: Actor
  readonly now: Date
}

/** An uploaded certificate that came once more, with another chain, is served with that one from now on: its hosts and
 *  deliveries get it. With the same chain nothing changes. */
export async function replaceChain(tx: Tx, { id, standing, actor, now }: Rechained): Promise<void> {
  await lockCertificate(tx, id)
  const row = await tx.certificate.findUniqueOrThrow({ where: { id } })
  const { path, publicRoot, leftOut } = standing
  const { chainPem, anchorPem } = pathPem(path)
  if (row.chainPem === chainPem && row.anchorPem === anchorPem) return
  const data = { chainPem, anchorPem, leftOut: [...leftOut] }
  await tx.certificate.update({ where: { id }, data, select: { id: true } })
  await record(tx, { actor, now }, 'certificate.changed', {
    subject: { kind: 'certificate', id, name: certificateName(row), tenantId: row.tenantId },
    changes: {
      ...{ serial: row.serial, chain: path.above.map(subjectText) },
      ...{ root: subjectText(path.root), publicRoot, leftOut },
    },
  })
  await tellPlacements(tx, id, now)
  await tellDeliveries(tx, id)
}

/** What was seen to be served is not what is asked for any more, until it is seen again. */
async function tellPlacements(tx: Tx, certificateId: string, now: Date): Promise<void> {
  const where = { wanted: true, host: { certificateId } }
  const placements = await tx.placement.findMany({
    where,
    select: { id: true, clusterId: true },
    orderBy: { id: 'asc' },
  })
  const ids = placements.map(({ id }) => id)
  await tx.placement.updateMany({
    where: { id: { in: ids }, status: 'Synced' },
    data: { status: 'Pending', since: now, message: null },
  })
  await dueMany(tx, 'placement.push', placementKeys(placements))
}
