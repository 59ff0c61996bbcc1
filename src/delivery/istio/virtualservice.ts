import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { CompleteSpec, Route } from '../../hosts/host.ts'
import { tlsRoute } from '../../hosts/request/complete.ts'
import type { Delivery } from '../renderer.ts'
import { metadata, objectName } from './names.ts'

/** The VirtualService of a host: where its requests go. */
export function virtualService(delivery: Delivery): KubeObject {
  const { host, ingress } = delivery
  const name = objectName(host.name, ingress.name)
  const plain = host.spec.routes.filter((route) => route !== tlsRoute(host.spec))
  return {
    ...kinds.istioVirtualService,
    metadata: metadata(delivery, name, ingress.namespace),
    spec: {
      hosts: [host.name],
      gateways: [`${ingress.namespace}/${name}`],
      ...(host.spec.tls.mode === 'PASSTHROUGH'
        ? {
            tls: [
              {
                match: [{ port: 443, sniHosts: [host.name] }],
                route: [destination(tlsBackend(host.spec))],
              },
            ],
          }
        : {}),
      ...(plain.length > 0 ? { http: ordered(plain).map(httpRoute) } : {}),
    },
  }
}

/** The first match wins in Envoy: exact paths, then longer prefixes, then those for one port. */
function ordered(routes: readonly Route[]): readonly Route[] {
  const rank = ({ match }: Route) => [
    match.exact === undefined ? 1 : 0,
    -(match.exact ?? match.prefix ?? '').length,
    match.port === undefined ? 1 : 0,
  ]
  return routes.toSorted((a, b) => {
    const ranks = rank(b)
    return rank(a).reduce((order, each, index) => order || each - (ranks[index] ?? 0), 0)
  })
}

function httpRoute(route: Route) {
  const { exact, prefix, port } = route.match
  const uri = exact === undefined ? { prefix: prefix ?? '/' } : { exact }
  return {
    match: [{ uri, ...(port === undefined ? {} : { port }) }],
    route: [destination(route)],
  }
}

function destination({ to }: Route) {
  const host = `${to.service}.${to.namespace}.svc.cluster.local`
  return { destination: { host, port: { number: to.port } } }
}

/** What a PASSTHROUGH host hands its TLS connections to. */
export function tlsBackend(spec: CompleteSpec): Route {
  const route = tlsRoute(spec)
  if (!route) throw new Error('A PASSTHROUGH host has a TLS route: src/hosts/request/complete.ts')
  return route
}
