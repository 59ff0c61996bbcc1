import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import { objectOf, refOf, takenName } from '../plan.ts'
import type { Collision, CollisionQuestion, Renderer } from '../renderer.ts'
import { type Candidate, collisions } from './collisions.ts'
import { gateway } from './gateway.ts'
import { manifests } from './manifests.ts'
import { creationOf, madeAt } from './merge.ts'
import { freshNeighbours, recentNeighbours } from './neighbours.ts'
import { refusals, touched } from './touched.ts'
import { virtualService } from './virtualservice.ts'

/** Hosts as Secret, Gateway, DestinationRule and VirtualService of Istio. */
export const istio: Renderer = {
  kinds: [
    ...[kinds.configMap, kinds.secret, kinds.istioGateway],
    ...[kinds.istioDestinationRule, kinds.istioVirtualService],
  ],
  neighbours: [kinds.istioGateway, kinds.istioVirtualService],
  manifests,
  collisions: collisionsOn,
  refusals,
  touched,
}

function collisionsOn(kube: Kube, question: CollisionQuestion): Promise<readonly Collision[]> {
  const { delivery, observed } = question
  const [ours, routes] = [gateway(delivery), virtualService(delivery)]
  return collisionsOf(kube, question, {
    gateway: aged(ours, observed),
    virtualService: aged(routes, observed),
    own: [ours, routes],
  })
}

/** How a host's objects look to Istio: with the age that they have or will have; and `own`, which they are. */
type Ours = Pick<Candidate, 'gateway' | 'virtualService'> & { readonly own: readonly KubeObject[] }

/** What others have in the way of a host that Istio takes for this Gateway and VirtualService. */
export async function collisionsOf(
  kube: Kube,
  { delivery, observed, recent, since = null }: CollisionQuestion,
  { gateway, virtualService, own }: Ours,
): Promise<readonly Collision[]> {
  const { host, ingress } = delivery
  const neighbours = await (recent
    ? recentNeighbours(kube, ingress, since)
    : freshNeighbours(kube, ingress))
  // What stands under the host's own names is its own, even where it has lost our labels; or it is told of as such
  // (src/delivery/plan.ts), and here where it was not looked for.
  const isOther = (object: KubeObject) => objectOf(own, refOf(object)) === undefined
  const taken = [...neighbours.gateways, ...neighbours.virtualServices]
    .filter((object) => !isOther(object) && !objectOf(observed, refOf(object)))
    .map((object) => ({ message: takenName(object), blocks: true, wins: true }))
  const found = collisions(
    {
      names: namesOf(host.name, host.spec),
      spec: host.spec,
      challenged: (delivery.challenges?.length ?? 0) > 0,
      gateway,
      virtualService,
    },
    {
      ...neighbours,
      gateways: neighbours.gateways.filter(isOther),
      virtualServices: neighbours.virtualServices.filter(isOther),
    },
  )
  return [...taken, ...found]
}

/** An object with the age of the one that is there: one that is yet to be made comes after all others. */
function aged(object: KubeObject, observed: readonly KubeObject[]): KubeObject {
  const there = objectOf(observed, refOf(object))
  return madeAt(object, there ? creationOf(there) : '9999')
}
