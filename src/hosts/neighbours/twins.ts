import { allIngressesOf } from '../../clusters/find.ts'
import { selectsSame } from '../../clusters/ingresses.ts'
import type { Tx } from '../../core/database/db.ts'

/** An ingress of a cluster, by the cluster's id. */
export type IngressId = { readonly clusterId: string; readonly ingress: string }

/** These ingresses, and the same ones under the other names of clusters that are registered more than once:
 *  one cluster is known by the UID of its namespace kube-system, and one ingress by the pods that it
 *  selects. */
export async function withTwins(tx: Tx, on: readonly IngressId[]): Promise<readonly IngressId[]> {
  const ids = on.map(({ clusterId }) => clusterId)
  const own = await tx.cluster.findMany({ where: { id: { in: ids }, uid: { not: null } } })
  const uids = own.flatMap(({ uid }) => uid ?? [])
  if (uids.length === 0) return on
  const others = await tx.cluster.findMany({
    where: { uid: { in: uids } },
    orderBy: { createdAt: 'asc' },
    take: most,
  })
  const twins = own.flatMap((cluster) => {
    const selectors = on
      .filter(({ clusterId }) => clusterId === cluster.id)
      .map(({ ingress }) => new Map(Object.entries(allIngressesOf(cluster))).get(ingress)?.selector)
    return others
      .filter(({ id, uid }) => id !== cluster.id && uid === cluster.uid)
      .flatMap((twin) =>
        Object.entries(allIngressesOf(twin))
          .filter(([, { selector }]) =>
            selectors.some((each) => each !== undefined && selectsSame(each, selector)),
          )
          .map(([ingress]) => ({ clusterId: twin.id, ingress })),
      )
  })
  return [...on, ...twins]
}

/** As often as nobody registers clusters twice. */
const most = 256
