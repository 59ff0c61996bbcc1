import { isKind, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube } from '../../clusters/kubernetes/kube.ts'
import type { Collision, CollisionQuestion, Renderer } from '../renderer.ts'
import { collisions, precedes } from './collisions.ts'
import { manifests } from './manifests.ts'
import { objectName, secretName } from './names.ts'
import { neighboursOf, recentNeighbours } from './neighbours.ts'

/** Hosts as Secret, Gateway and VirtualService of Istio. */
export const istio: Renderer = {
  kinds: [kinds.secret, kinds.istioGateway, kinds.istioVirtualService],
  manifests,
  // A Secret of this name comes before ours for whose clients are let in (istio.md 1.5).
  shadows: (delivery) => {
    if (delivery.host.spec.tls.mode !== 'MUTUAL') return []
    const name = `${secretName(delivery)}-cacert`
    return [{ ...kinds.secret, namespace: delivery.ingress.namespace, name }]
  },
  collisions: collisionsOn,
}

async function collisionsOn(
  kube: Kube,
  { delivery: { host, ingress }, observed, recent }: CollisionQuestion,
): Promise<readonly Collision[]> {
  const neighbours = await (recent ? recentNeighbours : neighboursOf)(kube, ingress)
  const own = `${ingress.namespace}/${objectName(host.name, ingress.name)}`
  const gateway = observed.find((object) => isKind(object, kinds.istioGateway))
  const found = collisions({ name: host.name, spec: host.spec, own }, neighbours)
  // Of TLS the ingress itself tells.
  return found.map(({ message, plain, object }) => ({
    message,
    wins: plain && (gateway === undefined || precedes(object, gateway)),
  }))
}
