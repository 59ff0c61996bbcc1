import { isKind, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import type { Collision, CollisionQuestion, Renderer } from '../renderer.ts'
import { collisions, precedes } from './collisions.ts'
import { manifests } from './manifests.ts'
import { objectName } from './names.ts'
import { neighboursOf, recentNeighbours } from './neighbours.ts'

/** Hosts as Secret, Gateway, DestinationRule and VirtualService of Istio. */
export const istio: Renderer = {
  kinds: [
    ...[kinds.secret, kinds.istioGateway],
    ...[kinds.istioDestinationRule, kinds.istioVirtualService],
  ],
  manifests,
  collisions: collisionsOn,
}

async function collisionsOn(
  kube: Kube,
  { delivery: { host, ingress }, observed, recent }: CollisionQuestion,
): Promise<readonly Collision[]> {
  const neighbours = await (recent ? recentNeighbours : neighboursOf)(kube, ingress)
  const own = `${ingress.namespace}/${objectName(host.name, ingress.name)}`
  const gateway = observed.find((object) => isKind(object, kinds.istioGateway))
  const found = namesOf(host.name, host.spec).flatMap((name) =>
    collisions({ name, spec: host.spec, own }, neighbours),
  )
  // What holds the whole port is found for each name.
  const once = new Map(found.map((each) => [each.message, each])).values()
  // Of TLS the ingress itself tells.
  return [...once].map(({ message, plain, object }) => ({
    message,
    wins: plain && (gateway === undefined || precedes(object, gateway)),
  }))
}
