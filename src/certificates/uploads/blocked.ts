import { record } from '../../audit/record.ts'
import { systemActor } from '../../core/actor.ts'
import type { Tx } from '../../core/database/db.ts'
import { dueMany, placementKeys } from '../../core/database/due.ts'
import { blockedSentence, keyIsBlocked } from '../../hosts/certificates/uploaded.ts'
import { noFailures } from '../hosts/outcome.ts'
import { certificateName } from '../name.ts'
import { tellDeliveries } from '../renewal/predecessor.ts'
import { usersOf } from './users.ts'

/** A key, and since when it is blocked; undefined: it is not, or not any more. */
type Blocked = { readonly spkiSha256: string; readonly since: Date | undefined; readonly now: Date }

/** Tells of the uploaded certificates in force that have a blocked key, each once: as of one whose renewal fails, so that
 *  receivers of notices hear of it; their hosts serve them until another one is there, and deliver none anew. Of a key
 *  that is blocked no more, what was told is taken back. */
export async function tellOfUploads(tx: Tx, { spkiSha256, since, now }: Blocked): Promise<void> {
  const rows = await tx.certificate.findMany({
    where: {
      ...{ spkiSha256, uploaded: { not: '' }, notAfter: { gte: now }, replacedBy: { none: {} } },
      ...(since ? { renewFailures: 0 } : { renewError: { startsWith: keyIsBlocked } }),
    },
    orderBy: { id: 'asc' },
  })
  const told = {
    renewFailures: 1,
    renewAfter: null,
    renewError: since ? blockedSentence(since) : '',
  }
  for (const row of rows) {
    const { id, tenantId, serial } = row
    await tx.certificate.update({ where: { id }, data: since ? told : noFailures })
    await record(tx, { actor: systemActor('blocked-key.revoke'), now }, 'certificate.changed', {
      subject: { kind: 'certificate', id, name: certificateName(row), tenantId },
      changes: { serial, keyBlocked: since?.toISOString() ?? null },
    })
    const users = await usersOf(tx, { tenantId, id })
    const hosts = users.map(({ id: hostId }) => ({ hostId }))
    await dueMany(tx, 'host.certify', hosts)
    const placements = await tx.placement.findMany({
      where: { wanted: true, hostId: { in: hosts.map(({ hostId }) => hostId) } },
      select: { id: true, clusterId: true },
    })
    await dueMany(tx, 'placement.look', placementKeys(placements))
    await tellDeliveries(tx, id)
  }
}
