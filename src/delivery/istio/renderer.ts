import { isSameObject, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import { refOf } from '../plan.ts'
import type { Collision, CollisionQuestion, Renderer } from '../renderer.ts'
import { collisions } from './collisions.ts'
import { gateway } from './gateway.ts'
import { manifests } from './manifests.ts'
import { creationOf, madeAt } from './merge.ts'
import { neighboursOf, recentNeighbours } from './neighbours.ts'
import { virtualService } from './virtualservice.ts'

/** Hosts as Secret, Gateway, DestinationRule and VirtualService of Istio. */
export const istio: Renderer = {
  kinds: [
    ...[kinds.configMap, kinds.secret, kinds.istioGateway],
    ...[kinds.istioDestinationRule, kinds.istioVirtualService],
  ],
  manifests,
  collisions: collisionsOn,
}

async function collisionsOn(
  kube: Kube,
  { delivery, observed, recent }: CollisionQuestion,
): Promise<readonly Collision[]> {
  const { host, ingress } = delivery
  const neighbours = await (recent ? recentNeighbours : neighboursOf)(kube, ingress)
  return collisions(
    {
      names: namesOf(host.name, host.spec),
      spec: host.spec,
      gateway: aged(gateway(delivery), observed),
      virtualService: aged(virtualService(delivery), observed),
    },
    neighbours,
  )
}

/** An object with the age of the one that is there: one that is yet to be made comes after all others. */
function aged(object: KubeObject, observed: readonly KubeObject[]): KubeObject {
  const ref = refOf(object)
  const there = observed.find((each) => isSameObject(refOf(each), ref))
  return madeAt(object, there ? creationOf(there) : '9999')
}
