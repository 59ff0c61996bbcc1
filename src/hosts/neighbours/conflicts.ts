import { opensWay, type Served } from '../clients.ts'
import type { ServedSpecs } from '../host.ts'
import { coversName } from '../request/hostname.ts'

/** A host on a cluster, as far as the question of who answers for a name goes. */
export type Placed = Served & {
  readonly tenantId: string
  readonly cluster: string
  readonly wanted: boolean
  /** How it may be served there while what is asked for is on its way. */
  readonly served: ServedSpecs
}

/** Why a name cannot be placed on a cluster. `host` is the one that is in the way. */
export type HostConflict = {
  readonly cluster: string
  readonly host: string
  readonly reason: 'same-name' | 'covers' | 'covered' | 'client-certificate'
  readonly message: string
}

type Wanted = Omit<Placed, 'cluster' | 'wanted' | 'served'>

/** What stands in the way of a tenant's host among what is placed on the clusters it is to go to. Of
 *  other tenants, whatever answers for the same names; nothing is said of who they are. Of one's own,
 *  what would let requests for a MUTUAL host in without its clients' certificates; otherwise an exact
 *  name under a wildcard is fine, since the closest name is served. */
export function conflicts(host: Wanted, placed: readonly Placed[]): readonly HostConflict[] {
  return placed.flatMap((other) => {
    const found =
      other.tenantId === host.tenantId ? ownReason(host, other) : reasonFor(host.name, other)
    return found ? [{ cluster: other.cluster, host: other.name, ...found }] : []
  })
}

function ownReason(host: Wanted, other: Placed) {
  if (other.name === host.name) return sameName(other)
  const [opens, opened] = [opensWay(host, other), opensWay(other, host)]
  if (!opens && !opened) return stillReason(host, other)
  const [outer, inner] = opens ? [host.name, other.name] : [other.name, host.name]
  const { cluster, wanted } = other
  return {
    reason: 'client-certificate',
    message: wanted
      ? `A client that is connected to ${outer} could ask for ${inner} on cluster "${cluster}" without the certificate that is demanded there: demand the same of both, or name hosts one by one instead of ${outer}`
      : `${other.name} is still being taken off cluster "${cluster}"; try again in a minute`,
  } as const
}

function sameName({ name, cluster, wanted }: Placed) {
  return {
    reason: 'same-name',
    message: wanted
      ? `${name} is a name of another host of yours on cluster "${cluster}": take it from that one first`
      : `${name} is still being taken off cluster "${cluster}"; try again in a minute`,
  } as const
}

/** What was changed a moment ago, or cannot be pushed, is served as before. */
function stillReason(host: Wanted, { name, cluster, served }: Placed) {
  if (!served.some((each) => opensWay({ name, ...each }, host))) return undefined
  return {
    reason: 'client-certificate',
    message: `${name} may still be served on cluster "${cluster}" as before it was changed, and a client that is connected to it could ask for ${host.name} without the certificate that is demanded there; try again when it is Synced`,
  } as const
}

function reasonFor(name: string, { name: other, cluster, wanted }: Placed) {
  if (other === name && !wanted) {
    return {
      reason: 'same-name',
      message: `${name} is still being taken off cluster "${cluster}"; try again in a minute`,
    } as const
  }
  if (other === name) {
    return {
      reason: 'same-name',
      message: `${name} is another tenant's on cluster "${cluster}"; choose another name or cluster`,
    } as const
  }
  if (coversName(name, other)) {
    return {
      reason: 'covers',
      message: `${name} would also answer for ${other}, which is another tenant's on cluster "${cluster}"`,
    } as const
  }
  if (coversName(other, name)) {
    return {
      reason: 'covered',
      message: `${other}, which is another tenant's, already answers for ${name} on cluster "${cluster}"`,
    } as const
  }
  return undefined
}

/** The same as the tenant may know it: what stands in the way of its host, but no name of another's. */
export function concealed(
  host: { readonly tenantId: string; readonly name: string },
  placed: readonly Placed[],
): (conflict: HostConflict) => HostConflict {
  const own = new Set(
    placed.filter(({ tenantId }) => tenantId === host.tenantId).map(({ name }) => name),
  )
  return (conflict) => {
    const { cluster, reason } = conflict
    if (conflict.host === host.name || own.has(conflict.host)) return conflict
    const message =
      reason === 'covers'
        ? `${host.name} would also answer for another tenant's host on cluster "${cluster}": name hosts one by one`
        : `Another tenant's host already answers for ${host.name} on cluster "${cluster}"`
    return { cluster, host: host.name, reason, message }
  }
}
