import { hash } from 'node:crypto'
import type { Tx } from '../../core/database/db.ts'
import { dueMany, placementKeys } from '../../core/database/due.ts'
import { toPem } from '../../x509/der/pem.ts'
import { trustAnchorOf } from '../issuers/current.ts'

/** What stands for a host's client trust, as PEM, in its placements. */
export function trustDigest(pem: string): string {
  return hash('sha256', pem, 'hex')
}

/** The digest of what hosts that let in clients of this authority are to trust now. */
export async function trustWanted(tx: Tx, authority: string): Promise<string> {
  const anchors = await trustAnchorOf(tx, authority)
  return trustDigest(anchors.map((der) => toPem('CERTIFICATE', der)).join(''))
}

type HostWhere = NonNullable<NonNullable<Parameters<Tx['host']['findMany']>[0]>['where']>

/** The placements of hosts that let in clients of this authority; `host` narrows them. */
export function trustingPlacements(tx: Tx, authority: string, host: HostWhere = {}) {
  return tx.placement.findMany({
    where: {
      wanted: true,
      host: {
        AND: [
          { spec: { path: ['tls', 'mode'], equals: 'MUTUAL' } },
          { spec: { path: ['tls', 'clientAuthority'], equals: authority } },
          host,
        ],
      },
    },
    select: {
      id: true,
      tenantId: true,
      clusterId: true,
      name: true,
      status: true,
      message: true,
      trust: true,
      cluster: { select: { name: true } },
    },
    orderBy: { id: 'asc' },
  })
}

/** Makes it due that these are brought to what is wanted. */
export async function dueAll(
  tx: Tx,
  placements: readonly { readonly id: string; readonly clusterId: string }[],
): Promise<void> {
  await dueMany(tx, 'placement.push', placementKeys(placements), { urgency: 'revocation' })
}
