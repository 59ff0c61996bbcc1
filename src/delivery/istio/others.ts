import Type from 'typebox'
import { isKind, type Kind, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { leadsTo, madeAt, readSpec, referenceTo, type World } from './merge.ts'

/** Kinds that Istio makes Gateways and VirtualServices of, where a cluster has them. */
export const otherKinds = {
  ingress: { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
  ingressClass: { apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass' },
  gateway: kinds.gateway,
  listenerSet: kinds.listenerSet,
  httpRoute: kinds.httpRoute,
  tlsRoute: kinds.tlsRoute,
} as const satisfies Readonly<Record<string, Kind>>

const Text = Type.String()
const IngressSpec = Type.Object({
  ingressClassName: Type.Optional(Text),
  tls: Type.Optional(
    Type.Array(
      Type.Object({ hosts: Type.Optional(Type.Array(Text)), secretName: Type.Optional(Text) }),
    ),
  ),
  rules: Type.Optional(Type.Array(Type.Object({ host: Type.Optional(Text) }))),
})
const ClassSpec = Type.Object({ controller: Type.Optional(Text) })
const Listeners = Type.Optional(
  Type.Array(
    Type.Object({
      hostname: Type.Optional(Text),
      port: Type.Integer(),
      protocol: Text,
      tls: Type.Optional(Type.Object({ mode: Type.Optional(Text) })),
      allowedRoutes: Type.Optional(
        Type.Object({
          namespaces: Type.Optional(Type.Object({ from: Type.Optional(Text) })),
        }),
      ),
    }),
  ),
)
const SetSpec = Type.Object({
  parentRef: Type.Object({ name: Text, namespace: Type.Optional(Text) }),
  listeners: Listeners,
})
const GatewaySpec = Type.Object({
  addresses: Type.Optional(
    Type.Array(Type.Object({ type: Type.Optional(Text), value: Type.Optional(Text) })),
  ),
  listeners: Listeners,
})
const RouteSpec = Type.Object({
  hostnames: Type.Optional(Type.Array(Text)),
  parentRefs: Type.Optional(
    Type.Array(
      Type.Object({ name: Text, namespace: Type.Optional(Text), kind: Type.Optional(Text) }),
    ),
  ),
})

type Converted = Pick<World, 'gateways' | 'virtualServices'>

/** What Istio makes of such objects before the pods of a world (tried with Istio 1.31); they go by their own
 *  kind and name, so that it is they who are named. */
export function converted(objects: readonly KubeObject[], world: World): Converted {
  const of = (kind: Kind) => objects.filter((object) => isKind(object, kind))
  const classes = of(otherKinds.ingressClass)
    .filter((each) => readSpec(ClassSpec, each).controller === 'istio.io/ingress-controller')
    .map(({ metadata }) => metadata.name)
  const ingresses = of(otherKinds.ingress)
    .filter((each) => isIstios(each, classes))
    .map(fromIngress)
  const bound = of(otherKinds.gateway).filter((each) => isBefore(each, world))
  const sets = of(otherKinds.listenerSet).filter(({ metadata, spec }) => {
    const { parentRef } = readSpec(SetSpec, { spec })
    const at = parentRef?.namespace ?? metadata.namespace
    return bound.some(
      (each) => each.metadata.name === parentRef?.name && each.metadata.namespace === at,
    )
  })
  const gateways = [...bound, ...sets]
  return {
    gateways: [
      ...ingresses.flatMap((each) => each.gateways),
      ...gateways.map((each) => fromGateway(each, world)),
    ],
    virtualServices: [
      ...ingresses.flatMap((each) => each.virtualServices),
      ...[...of(otherKinds.httpRoute), ...of(otherKinds.tlsRoute)].map(fromRoute),
    ],
  }
}

/** Whether Istio takes up an Ingress, as it does by default: by the annotation of old, or by its class. */
function isIstios(
  { metadata: { annotations = {} }, spec }: KubeObject,
  classes: readonly string[],
): boolean {
  const old = annotations['kubernetes.io/ingress.class']
  if (old !== undefined) return old === 'istio'
  const { ingressClassName } = readSpec(IngressSpec, { spec })
  return ingressClassName !== undefined && classes.includes(ingressClassName)
}

/** An Ingress has no age for Istio: it comes first. It applies to the default ingress gateway. */
function fromIngress(ingress: KubeObject): Converted {
  const { tls = [], rules = [] } = readSpec(IngressSpec, ingress)
  const https = tls.map(({ hosts = ['*'], secretName }) => ({
    port: { number: 443, protocol: 'HTTPS' },
    hosts,
    tls: { mode: 'SIMPLE', ...(secretName === undefined ? {} : { credentialName: secretName }) },
  }))
  const servers = [...https, { port: { number: 80, protocol: 'HTTP' }, hosts: ['*'] }]
  const gateways = [{ ...ingress, spec: { selector: { istio: 'ingressgateway' }, servers } }]
  const hosts = [...new Set(rules.map(({ host = '*' }) => host))]
  const route = { ...ingress, spec: { hosts, gateways: [referenceTo(ingress)], http: [{}] } }
  return {
    gateways: gateways.map((each) => madeAt(each, '')),
    virtualServices: hosts.length > 0 ? [madeAt(route, '')] : [],
  }
}

/** Whether a Gateway is bound by hand to a Service before the pods, or the pods were made for it. */
function isBefore({ metadata, spec }: KubeObject, { namespace, pods, services }: World): boolean {
  const { addresses = [] } = readSpec(GatewaySpec, { spec })
  const own = metadata.namespace ?? ''
  if (addresses.length === 0) {
    const label = 'gateway.networking.k8s.io/gateway-name'
    return own === namespace && pods.some((pod) => pod[label] === metadata.name)
  }
  const reached = services.filter((service) => leadsTo(service, pods))
  const names = reached.flatMap(({ metadata: { name, namespace: at = '' } }) => [
    ...(at === own ? [name] : []),
    ...[`${name}.${at}`, `${name}.${at}.svc`, `${name}.${at}.svc.cluster.local`],
  ])
  return addresses.some(({ value = '' }) => names.includes(value))
}

function fromGateway(gateway: KubeObject, { pods }: World): KubeObject {
  const isSet = isKind(gateway, otherKinds.listenerSet)
  const { listeners = [] } = isSet ? readSpec(SetSpec, gateway) : readSpec(GatewaySpec, gateway)
  const own = gateway.metadata.namespace ?? ''
  const servers = listeners.map(({ hostname = '*', port, protocol, tls, allowedRoutes }) => {
    const same = (allowedRoutes?.namespaces?.from ?? 'Same') === 'Same'
    const passed = tls?.mode === 'Passthrough'
    return {
      port: { number: port, protocol },
      hosts: [same ? `${own}/${hostname}` : hostname],
      ...(tls ? { tls: { mode: passed ? 'PASSTHROUGH' : 'SIMPLE' } } : {}),
    }
  })
  return { ...gateway, spec: { selector: pods[0] ?? {}, servers } }
}

function fromRoute(route: KubeObject): KubeObject {
  const { hostnames = ['*'], parentRefs = [] } = readSpec(RouteSpec, route)
  const own = route.metadata.namespace ?? ''
  const gateways = parentRefs
    .filter(({ kind = 'Gateway' }) => kind === 'Gateway' || kind === 'ListenerSet')
    .map(({ name, namespace = own, kind = 'Gateway' }) =>
      referenceTo({ ...otherKinds.gateway, kind, metadata: { name, namespace } }),
    )
  const passed = isKind(route, otherKinds.tlsRoute)
  const led = passed ? { tls: [{ match: [{ sniHosts: hostnames }] }] } : { http: [{}] }
  return { ...route, spec: { hosts: hostnames, gateways, ...led } }
}
