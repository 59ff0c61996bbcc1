import { routes } from './hostname.ts'

/** A host on a cluster, as far as the question of who answers for a name goes. */
export type Placed = {
  readonly tenantId: string
  readonly name: string
  readonly cluster: string
  readonly wanted: boolean
}

/** Why a name cannot be placed on a cluster. `host` is the one that is in the way. */
export type HostConflict = {
  readonly cluster: string
  readonly host: string
  readonly reason: 'same-name' | 'covers' | 'covered'
  readonly message: string
}

/** What stands in the way of a tenant's host among what is placed on the clusters it is to go to.
 *  Only other tenants' hosts do: one's own exact name under one's own wildcard is fine, since the
 *  closest name is served. Nothing is said of who the other tenant is. */
export function conflicts(
  host: { readonly tenantId: string; readonly name: string },
  placed: readonly Placed[],
): readonly HostConflict[] {
  const others = placed.filter(({ tenantId }) => tenantId !== host.tenantId)
  return others.flatMap((other) => {
    const found = reasonFor(host.name, other)
    return found ? [{ cluster: other.cluster, host: other.name, ...found }] : []
  })
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
  if (routes(name, other)) {
    return {
      reason: 'covers',
      message: `${name} would also answer for ${other}, which is another tenant's on cluster "${cluster}"`,
    } as const
  }
  if (routes(other, name)) {
    return {
      reason: 'covered',
      message: `${other}, which is another tenant's, already answers for ${name} on cluster "${cluster}"`,
    } as const
  }
  return undefined
}
