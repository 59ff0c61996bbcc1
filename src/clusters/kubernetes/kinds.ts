/** A kind of object, as each object says what it is: two groups may have a kind of one name. */
export type Kind = { readonly apiVersion: string; readonly kind: string }

/** The kinds that are dealt with, in the API version that is spoken. */
export const kinds = {
  secret: { apiVersion: 'v1', kind: 'Secret' },
  service: { apiVersion: 'v1', kind: 'Service' },
  pod: { apiVersion: 'v1', kind: 'Pod' },
  configMap: { apiVersion: 'v1', kind: 'ConfigMap' },
  deployment: { apiVersion: 'apps/v1', kind: 'Deployment' },
  istioGateway: { apiVersion: 'networking.istio.io/v1', kind: 'Gateway' },
  istioDestinationRule: { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule' },
  istioVirtualService: { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService' },
  gateway: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway' },
  listenerSet: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'ListenerSet' },
  httpRoute: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute' },
  tlsRoute: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'TLSRoute' },
  referenceGrant: { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'ReferenceGrant' },
} as const satisfies Readonly<Record<string, Kind>>

/** One object of a cluster. */
export type KubeRef = Kind & { readonly namespace: string; readonly name: string }

/** Whether both are of one kind, in whatever version. */
export function isKind(one: Kind, other: Kind): boolean {
  return one.kind === other.kind && groupOf(one) === groupOf(other)
}

/** Whether both are one object, in whatever version it is spoken of. */
export function isSameObject(one: KubeRef, other: KubeRef): boolean {
  return isKind(one, other) && one.namespace === other.namespace && one.name === other.name
}

/** Where the kind's objects are, as paths of the API and rights name it: `gateways`, `ingresses`, `policies`. */
export function resourceOf({ kind }: Kind): string {
  const name = kind.toLowerCase()
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`
  return name.endsWith('s') ? `${name}es` : `${name}s`
}

/** The API group; none for the kinds of the core. */
export function groupOf({ apiVersion }: Kind): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? '' : apiVersion.slice(0, slash)
}
