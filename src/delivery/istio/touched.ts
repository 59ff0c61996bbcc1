import Type from 'typebox'
import Value from 'typebox/value'
import { isKind, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import type { TouchedQuestion } from '../renderer.ts'
import type { Neighbours } from './collisions.ts'
import { isHttp, isTls, listeners, podPorts, within } from './merge.ts'
import { recentNeighbours } from './neighbours.ts'

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
  return (name) => all || patterns.some((each) => within(each, name) || within(name, each))
}

const ServiceSpec = Type.Object({
  hosts: Type.Array(Type.String()),
  gateways: Type.Array(Type.String()),
})

/** The names that a VirtualService routes at a gateway. */
function routed(object: KubeObject): readonly string[] {
  const { spec } = object
  if (!isKind(object, kinds.istioVirtualService) || !Value.Check(ServiceSpec, spec)) return []
  const atGateways = spec.gateways.some((each) => each !== 'mesh')
  return atGateways ? spec.hosts.map((name) => name.toLowerCase()) : []
}
