import Type from 'typebox'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { closed, Name, Namespace } from '../../shared/schema.ts'
import { shownJson } from '../../shared/view.ts'
import { ClusterFound } from '../checks/schema.ts'
import { defaultIngress } from '../cluster.ts'
import { allIngressesOf, apiOf, clusterRow } from '../find.ts'
import { rbacManifest } from './manifest.ts'
import { placesOn } from './places.ts'
import { featuresWith } from './table.ts'

/** For whom the rights are to be, and what of that which not everybody needs. */
export const RbacQuery = closed({
  name: Type.Optional(Name),
  namespace: Type.Optional(Namespace),
  listeners: Type.Optional(Type.Boolean({ description: 'Also to read the listeners of gateways' })),
  meshTls: Type.Optional(Type.Boolean({ description: "Also to read and set the mesh's TLS" })),
  token: Type.Optional(Type.Boolean({ description: 'With a Secret for a token that stays' })),
})
export type RbacQuery = Type.Static<typeof RbacQuery>

/** The rights that the service needs on this cluster for what is asked for there, as YAML to apply. Throws
 *  cluster-unknown. */
export async function clusterRbac(
  ctx: Context,
  actor: Actor,
  {
    cluster,
    name = 'gatesmith',
    namespace,
    token = false,
    ...more
  }: RbacQuery & { cluster: string },
): Promise<string> {
  allowPlatform(actor, 'check-clusters')
  const row = await clusterRow(ctx.db.read, cluster)
  const ingresses = allIngressesOf(row)
  const { istioRevision } = shownJson(ClusterFound, row.found)
  const revisions = istioRevision?.split(', ') ?? []
  return rbacManifest({
    account: { name, namespace: namespace ?? ingresses[defaultIngress].namespace },
    api: apiOf(row),
    features: featuresWith(more),
    places: { ...(await placesOn(ctx.db.read, row.id, ingresses)), revisions },
    token,
  })
}
