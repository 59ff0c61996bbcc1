import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import { Problem } from '../../shared/problem.ts'
import { gatewayMetadata, secretName, shortHash } from '../istio/names.ts'
import type { DesiredHost } from '../renderer.ts'

/** The API group of Gateways, as references name it. What the API server would fill in is said here: what is
 *  there is compared with it. */
export const group = 'gateway.networking.k8s.io'

/** The Gateway of a host: a listener for each name, over TLS and, unless port 80 is off, in the clear. It is bound to
 *  the Service of the ingress, and no pods are made for it. One for each host: what is wrong with one host keeps no
 *  other from being served, as it would with listeners in one object; and 32 names, the most that a host has, come to
 *  just the 64 listeners that a Gateway may have. Throws host-refused where no Service is known. */
export function gateway(delivery: DesiredHost): KubeObject {
  const { host } = delivery
  const names = namesOf(host.name, host.spec)
  const plain = host.spec.http === 'off' ? [] : names.map(plainListener)
  return {
    ...kinds.gateway,
    metadata: gatewayMetadata(delivery),
    spec: {
      gatewayClassName: 'istio',
      addresses: [{ type: 'Hostname', value: serviceOf(delivery) }],
      listeners: [...names.map((name) => tlsListener(delivery, name)), ...plain],
      allowedListeners: { namespaces: { from: 'None' } },
    },
  }
}

/** A name without dots is that of a Service in the namespace of the Gateway, whatever the cluster's domain is. */
function serviceOf({ ingress }: DesiredHost): string {
  if (ingress.service !== undefined) return ingress.service
  throw new Problem(
    'host-refused',
    `No Service is known that leads to the pods of ingress "${ingress.name ?? 'default'}" by port 443: Gateways of the Gateway API are bound to one; check the cluster`,
  )
}

function tlsListener(delivery: DesiredHost, hostname: string) {
  const passes = delivery.host.spec.tls.mode === 'PASSTHROUGH'
  return {
    name: `https-${shortHash(hostname)}`,
    hostname,
    port: 443,
    protocol: passes ? 'TLS' : 'HTTPS',
    tls: passes ? { mode: 'Passthrough' } : terminated(delivery),
    allowedRoutes: routesOf(passes ? kinds.tlsRoute.kind : kinds.httpRoute.kind),
  }
}

/** Whom a MUTUAL host trusts lies in the Secret named after that of the key pair, where istiod looks first for this
 *  mode: frontend validation of the API holds for a port, and would ask clients of other hosts, too. */
function terminated(delivery: DesiredHost) {
  const mutual = delivery.host.spec.tls.mode === 'MUTUAL'
  return {
    mode: 'Terminate',
    certificateRefs: [{ group: '', kind: 'Secret', name: secretName(delivery) }],
    ...(mutual ? { options: { 'gateway.istio.io/tls-terminate-mode': 'MUTUAL' } } : {}),
  }
}

function plainListener(hostname: string) {
  return {
    name: `http-${shortHash(hostname)}`,
    hostname,
    port: 80,
    protocol: 'HTTP',
    allowedRoutes: routesOf(kinds.httpRoute.kind),
  }
}

/** Only routes of the ingress namespace, where tenants cannot write. */
function routesOf(kind: string) {
  return { namespaces: { from: 'Same' }, kinds: [{ group, kind }] }
}
