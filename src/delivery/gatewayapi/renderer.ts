import type { NamedIngress } from '../../clusters/cluster.ts'
import { isKind, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../../clusters/kubernetes/kube.ts'
import { gateway as classicGateway } from '../istio/gateway.ts'
import { creationOf, madeAt } from '../istio/merge.ts'
import { recentNeighbours } from '../istio/neighbours.ts'
import { converted } from '../istio/others.ts'
import { collisionsOf } from '../istio/renderer.ts'
import { backendSecret, ingressSecrets } from '../istio/secret.ts'
import { ownIn, refusalsOf, touched } from '../istio/touched.ts'
import { virtualService as classicRoutes } from '../istio/virtualservice.ts'
import { objectOf, refOf } from '../plan.ts'
import type {
  Collision,
  CollisionQuestion,
  DesiredHost,
  Refusal,
  Renderer,
  TouchedQuestion,
} from '../renderer.ts'
import { conditionFaults } from './conditions.ts'
import { gateway } from './gateway.ts'
import { grants, routes } from './routes.ts'

const own = [kinds.gateway, kinds.httpRoute, kinds.tlsRoute]
const theirs = [...own, kinds.listenerSet]

/** Hosts as Secret, Gateway and HTTPRoute or TLSRoute of the Kubernetes Gateway API, with the ReferenceGrants for the
 *  Services that they lead to. Istio makes its own Gateways and VirtualServices of them, so what is in the way of
 *  one kind is in the way of the other: both are read. */
export const gatewayApi: Renderer = {
  kinds: [kinds.configMap, kinds.secret, kinds.referenceGrant, ...own],
  neighbours: [kinds.istioGateway, kinds.istioVirtualService, ...theirs],
  manifests,
  unable,
  collisions: collisionsOn,
  refusals,
  faults: conditionFaults,
  touched: touchedBy,
}

function manifests(delivery: DesiredHost): readonly KubeObject[] {
  const passes = delivery.host.spec.tls.mode === 'PASSTHROUGH'
  const secrets = passes ? [backendSecret(delivery)] : ingressSecrets(delivery)
  if (unable(delivery) !== undefined) return secrets
  return [...secrets, ...grants(delivery), gateway(delivery), ...routes(delivery)]
}

/** Who asks for its clients by name is refused when it is put; but an authority may come to have others' clients
 *  later, and they are not let in. */
function unable({ host, clients }: DesiredHost): string | undefined {
  if (clients?.subjectAltName === undefined) return undefined
  return `Clients of "${host.spec.tls.clientAuthority}" are by now others' as well, who cannot be told apart in the Gateway API: nobody is served until the host names an authority of the tenant's own`
}

/** Istio takes up the Gateway as one of its own, with the age that it has. */
function collisionsOn(kube: Kube, question: CollisionQuestion): Promise<readonly Collision[]> {
  const { delivery, observed } = question
  const ours = gateway(delivery)
  const there = objectOf(observed, refOf(ours))
  const age = there ? creationOf(there) : '9999'
  return collisionsOf(kube, question, {
    gateway: madeAt(classicGateway(delivery), age),
    virtualService: madeAt(classicRoutes(delivery), age),
    own: [ours, ...routes(delivery)],
  })
}

async function refusals(kube: Kube, ingress: NamedIngress): Promise<readonly Refusal[]> {
  const where = ownIn(ingress)
  const [around, ...lists] = await Promise.all([
    recentNeighbours(kube, ingress),
    ...own.map((kind) => kube.list(kind, where)),
  ])
  return refusalsOf(around, converted(lists.flat(), around))
}

/** What Istio makes of these is looked at as if it were there. */
async function touchedBy(
  kube: Kube,
  { objects, ...question }: TouchedQuestion,
): Promise<readonly boolean[]> {
  const around = await recentNeighbours(kube, question.ingress)
  // A set of listeners is read with its Gateway, which may be known already.
  if (objects.some((object) => isKind(object, kinds.listenerSet))) {
    return question.hosts.map(() => true)
  }
  const made = converted(objects, around)
  const classic = [
    ...made.gateways.map((each) => ({ ...each, ...kinds.istioGateway })),
    ...made.virtualServices.map((each) => ({ ...each, ...kinds.istioVirtualService })),
  ]
  return touched(kube, { ...question, objects: [...objects, ...classic] })
}
