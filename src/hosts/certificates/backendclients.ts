import type { Tx } from '../../core/database/db.ts'
import type { Violation } from '../../shared/problem.ts'
import { type AskedRoute, backendClientsIn, destinationsOf } from '../route.ts'
import { type LineMember, newestInLines } from './line.ts'

/** Why gateways cannot show these certificates to the backends of a tenant's host. */
export async function backendClientFaults(
  tx: Tx,
  tenantId: string,
  routes: readonly AskedRoute[],
): Promise<readonly Violation[]> {
  const ids = backendClientsIn(routes)
  if (ids.length === 0) return []
  const newest = await newestInLines(tx, ids)
  return routes.flatMap((route, index) =>
    destinationsOf(route).flatMap(({ tls }, at) => {
      const id = tls?.clientCertificate
      const message = id === undefined ? undefined : fault(newest.get(id), tenantId)
      if (message === undefined) return []
      const place = Array.isArray(route.to) ? `to/${at}` : 'to'
      return [{ field: `/routes/${index}/${place}/tls/clientCertificate`, message }]
    }),
  )
}

/** Of certificates of others nothing is told. */
function fault(newest: LineMember | undefined, tenantId: string): string | undefined {
  if (!newest || newest.tenantId !== tenantId || newest.cause === 'probe') {
    return 'There is no certificate of this id'
  }
  if (newest.hostId !== null) {
    return 'It was made for a host, to be served with: order one of profile client for this'
  }
  if (newest.profile === 'server') {
    return 'It is a server certificate, which no backend takes for a client: order one of profile client'
  }
  if (newest.keySource === 'caller') {
    return 'Its key is with whoever sent its CSR: only one whose key was made here can be shown'
  }
  if (newest.status === 'revoked') {
    return 'It was revoked, and nothing has taken its place: renew it first'
  }
  return newest.der === null ? 'It is still being signed: ask again in a moment' : undefined
}
