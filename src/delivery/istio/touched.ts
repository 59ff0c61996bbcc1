import Type from 'typebox'
import type { NamedIngress } from '../../clusters/cluster.ts'
import { isKind, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import { conforms } from '../../shared/shape.ts'
import { type Manager, managersOf } from '../drift/managers.ts'
import { nameOf, refOf } from '../plan.ts'
import { labels, manager, type Refusal, type TouchedQuestion } from '../renderer.ts'
import type { Neighbours } from './collisions.ts'
import { creationOf, isHttp, isTls, listeners, podPorts, type Server, takesIn } from './merge.ts'
import { recentNeighbours } from './neighbours.ts'

/** Which names two servers answer for, so that Envoy refuses the listener and goes on with what it had: no host
 *  of the port gets or loses anything until one of them is gone (istio.md 2.2). */
export async function refusals(kube: Kube, ingress: NamedIngress): Promise<readonly Refusal[]> {
  const where = ownIn(ingress)
  const [around, gateways, virtualServices] = await Promise.all([
    recentNeighbours(kube, ingress),
    kube.list(kinds.istioGateway, where),
    kube.list(kinds.istioVirtualService, where),
  ])
  return refusalsOf(around, { gateways, virtualServices })
}

/** Which objects in the namespace of an ingress are ours. */
export function ownIn({ namespace }: NamedIngress) {
  return { namespace, labelSelector: `${labels.managedBy}=${manager}` }
}

/** The same, given what is there of others and of ours. */
export function refusalsOf(
  around: Neighbours,
  { gateways, virtualServices }: Pick<Neighbours, 'gateways' | 'virtualServices'>,
): readonly Refusal[] {
  const reach = podPorts(around)
  const world = {
    ...around,
    gateways: [...around.gateways, ...gateways],
    virtualServices: [...around.virtualServices, ...virtualServices],
  }
  return listeners(world).flatMap(({ port, clashes }) =>
    clashes.slice(0, mostTold).map(({ name, one, other }) => {
      const [first, second] = [written(one), written(other)]
      const [later, earlier] = first.at > second.at ? [first, second] : [second, first]
      const number = [443, 80].find((each) => reach(each) === port) ?? port
      const message = `${later.text} and ${earlier.text} both serve ${name} on port ${number}`
      return { port: number, message, since: later.at }
    }),
  )
}

const mostTold = 3

/** A Gateway, with who wrote its servers last, where that was not we. */
function written({ gateway }: Server): { readonly text: string; readonly at: string } {
  const [last]: readonly Manager[] = isOurs(gateway) ? [] : managersOf(gateway, [['spec']])
  const at = [creationOf(gateway), last?.at ?? ''].toSorted().at(-1) ?? ''
  const by = last ? ` (by ${last.manager})` : ''
  return { text: `${nameOf(refOf(gateway))}${by}`, at }
}

function isOurs({ metadata }: KubeObject): boolean {
  return metadata.labels?.[labels.managedBy] === manager
}

/** Of each host whether any of these objects of others may be in its way: rather once too often, since it is
 *  only looked at then, with all that is there. */
export async function touched(
  kube: Kube,
  { ingress, objects, hosts }: TouchedQuestion,
): Promise<readonly boolean[]> {
  const reaches = reachOf(objects, await recentNeighbours(kube, ingress))
  return hosts.map(({ name, spec }) => namesOf(name, spec).some(reaches))
}

/** Whether a name is one that these speak of, or stands on a port that they take for something else. */
function reachOf(objects: readonly KubeObject[], around: Neighbours): (name: string) => boolean {
  const gateways = objects.filter((object) => isKind(object, kinds.istioGateway))
  const reach = podPorts(around)
  const servers = listeners({ ...around, gateways, virtualServices: [] })
    .flatMap(({ tls, plain, dropped }) => [
      ...tls,
      ...plain,
      ...dropped.map(({ server }) => server),
    ])
    .filter(({ port }) => port === reach(443) || port === reach(80))
  const all = servers.some(
    (server) => !isTls(server) && !(isHttp(server) && server.port === reach(80)),
  )
  const patterns = [
    ...servers.flatMap(({ hosts }) => hosts.map(({ name }) => name)),
    ...objects.flatMap(routed),
  ]
  return (name) => all || patterns.some((each) => takesIn(each, name) || takesIn(name, each))
}

const ServiceSpec = Type.Object({
  hosts: Type.Array(Type.String()),
  gateways: Type.Array(Type.String()),
})

/** The names that a VirtualService routes at a gateway. */
function routed(object: KubeObject): readonly string[] {
  const { spec } = object
  if (!isKind(object, kinds.istioVirtualService) || !conforms(ServiceSpec, spec)) return []
  const atGateways = spec.gateways.some((each) => each !== 'mesh')
  return atGateways ? spec.hosts.map((name) => name.toLowerCase()) : []
}
