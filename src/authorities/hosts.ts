import type { Tx } from '../core/database/db.ts'
import { dueMany } from '../core/database/due.ts'

/** Has the hosts looked at that are to have certificates of the authority of this name; `bare`: those that have none. */
export async function lookAtHosts(
  tx: Tx,
  name: string,
  { bare = false }: { readonly bare?: boolean } = {},
): Promise<void> {
  const hosts = await tx.host.findMany({
    where: {
      ...{ spec: { path: ['certificate', 'authority'], equals: name }, removedAt: null },
      ...(bare ? { certificateId: null } : {}),
    },
    select: { id: true },
    orderBy: { id: 'asc' },
  })
  await dueMany(
    tx,
    'host.certify',
    hosts.map(({ id: hostId }) => ({ hostId })),
  )
}
