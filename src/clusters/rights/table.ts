import type { ClusterApi } from '../cluster.ts'
import type { Access } from '../kubernetes/kube.ts'

/** What a right is needed for. Without `delivery` and `backends` no host is served; without one of the
 *  others the service does less, and says so. */
export type Feature =
  | 'delivery'
  | 'backends'
  | 'backend-tls'
  | 'watch'
  | 'checks'
  | 'listeners'
  | 'mesh-tls'
  | 'restart'
  | 'neighbours'

/** Where a right is needed: in the namespace of each ingress gateway, or of those whose hosts speak TLS to
 *  backends; in each that a workload's Secrets are delivered to, that has Services which routes lead to, where
 *  a Deployment is restarted or a ConfigMap written; in that of istiod; or in the whole cluster. */
export type RightScope = Exclude<keyof Places, 'revisions'> | 'cluster'

/** A rule of a Role or ClusterRole (rbac.authorization.k8s.io/v1). */
export type Right = {
  readonly feature: Feature
  /** Only where hosts are written in it; none: in either. */
  readonly api?: ClusterApi
  readonly scope: RightScope
  readonly group: string
  readonly resources: readonly string[]
  /** Only these objects; none: all. One for each revision of Istio where it says so. */
  readonly names?: readonly string[]
  readonly verbs: readonly string[]
}

const istio = 'networking.istio.io'
const gatewayApi = 'gateway.networking.k8s.io'
const routing = ['gateways', 'virtualservices']
const write = ['get', 'list', 'create', 'patch', 'delete']

/** Every right that the service makes use of, once: what it asks for in a check, and what
 *  `gatesmith rbac` prints. */
export const rights: readonly Right[] = [
  // The objects of hosts, and what they are compared with.
  { feature: 'delivery', scope: 'ingress', group: '', resources: ['secrets'], verbs: write },
  {
    feature: 'delivery',
    api: 'istio',
    scope: 'ingress',
    group: istio,
    resources: routing,
    verbs: write,
  },
  {
    feature: 'delivery',
    api: 'gateway-api',
    scope: 'ingress',
    group: gatewayApi,
    resources: ['gateways', 'httproutes', 'tlsroutes'],
    verbs: write,
  },
  {
    feature: 'delivery',
    api: 'gateway-api',
    scope: 'backend',
    group: gatewayApi,
    resources: ['referencegrants'],
    verbs: write,
  },
  // What hosts are compared with, all of it: without one of these, a host might be lost to it unseen.
  {
    feature: 'delivery',
    api: 'gateway-api',
    scope: 'cluster',
    group: gatewayApi,
    resources: ['gateways', 'httproutes', 'tlsroutes', 'listenersets'],
    verbs: ['list'],
  },
  {
    feature: 'delivery',
    scope: 'ingress',
    group: '',
    resources: ['pods', 'services'],
    verbs: ['get', 'list'],
  },
  // What others made collides with ours wherever it is (istio.md 2.2); routes lead to any namespace.
  { feature: 'delivery', scope: 'cluster', group: istio, resources: routing, verbs: ['list'] },
  { feature: 'delivery', scope: 'cluster', group: '', resources: ['services'], verbs: ['get'] },
  { feature: 'backends', scope: 'workload', group: '', resources: ['secrets'], verbs: write },
  { feature: 'backends', scope: 'configMap', group: '', resources: ['configmaps'], verbs: write },
  // Only where routes say `to.tls`.
  {
    feature: 'backend-tls',
    api: 'istio',
    scope: 'backendTls',
    group: istio,
    resources: ['destinationrules'],
    verbs: write,
  },
  {
    feature: 'restart',
    scope: 'restart',
    group: 'apps',
    resources: ['deployments'],
    verbs: ['get', 'patch'],
  },
  { feature: 'watch', scope: 'cluster', group: istio, resources: routing, verbs: ['watch'] },
  { feature: 'watch', scope: 'ingress', group: '', resources: ['secrets'], verbs: ['watch'] },
  { feature: 'watch', scope: 'workload', group: '', resources: ['secrets'], verbs: ['watch'] },
  { feature: 'watch', scope: 'configMap', group: '', resources: ['configmaps'], verbs: ['watch'] },
  {
    feature: 'watch',
    api: 'gateway-api',
    scope: 'cluster',
    group: gatewayApi,
    resources: ['gateways', 'httproutes', 'tlsroutes', 'listenersets'],
    verbs: ['watch'],
  },
  {
    feature: 'watch',
    api: 'gateway-api',
    scope: 'backend',
    group: gatewayApi,
    resources: ['referencegrants'],
    verbs: ['watch'],
  },
  {
    feature: 'watch',
    api: 'istio',
    scope: 'backendTls',
    group: istio,
    resources: ['destinationrules'],
    verbs: ['watch'],
  },
  {
    feature: 'checks',
    scope: 'ingress',
    group: 'authorization.k8s.io',
    resources: ['localsubjectaccessreviews'],
    verbs: ['create'],
  },
  {
    feature: 'checks',
    scope: 'cluster',
    group: '',
    resources: ['namespaces'],
    names: ['kube-system'],
    verbs: ['get'],
  },
  {
    feature: 'checks',
    scope: 'cluster',
    group: 'apiextensions.k8s.io',
    resources: ['customresourcedefinitions'],
    names: ['gateways.gateway.networking.k8s.io'],
    verbs: ['get'],
  },
  { feature: 'checks', scope: 'mesh', group: '', resources: ['pods'], verbs: ['list'] },
  {
    feature: 'listeners',
    scope: 'ingress',
    group: '',
    resources: ['pods/portforward'],
    verbs: ['get', 'create'],
  },
  // What Istio makes Gateways of beside its own, where a cluster has such.
  {
    feature: 'neighbours',
    scope: 'cluster',
    group: 'networking.k8s.io',
    resources: ['ingresses', 'ingressclasses'],
    verbs: ['list'],
  },
  {
    feature: 'neighbours',
    scope: 'cluster',
    group: gatewayApi,
    resources: ['gateways', 'httproutes', 'tlsroutes', 'listenersets'],
    verbs: ['list'],
  },
  {
    feature: 'mesh-tls',
    scope: 'mesh',
    group: '',
    resources: ['configmaps'],
    names: ['istio', 'istio-<revision>'],
    verbs: ['get', 'patch'],
  },
]

/** The features that everybody has, where there are places for them, with those that are asked for. */
export function featuresWith({
  listeners = false,
  meshTls = false,
}: {
  readonly listeners?: boolean
  readonly meshTls?: boolean
}): readonly Feature[] {
  return [
    ...([
      'delivery',
      'backends',
      'backend-tls',
      'restart',
      'watch',
      'checks',
      'neighbours',
    ] as const),
    ...(listeners ? (['listeners'] as const) : []),
    ...(meshTls ? (['mesh-tls'] as const) : []),
  ]
}

/** Where the rights are needed on a cluster. */
export type Places = {
  readonly ingress: readonly string[]
  /** Of the ingresses that have hosts which speak TLS to their backends. */
  readonly backendTls: readonly string[]
  readonly workload: readonly string[]
  /** Where Services are that routes lead to. */
  readonly backend: readonly string[]
  /** Where Deployments are restarted, and where certificates lie in ConfigMaps. */
  readonly restart: readonly string[]
  readonly configMap: readonly string[]
  readonly mesh: readonly string[]
  /** The revisions of Istio beside the default one. */
  readonly revisions?: readonly string[]
}

/** Where istiod runs where nothing else is known. */
export const meshNamespace = 'istio-system'

/** One thing that one must be allowed to do, and what for. */
export type Needed = Access & { readonly feature: Feature }

/** All that these features need at these places, each once; the namespaces of `cluster` are all of them. */
export function neededAccess(
  features: readonly Feature[],
  places: Places,
  api: ClusterApi = 'istio',
): readonly Needed[] {
  const all = rightsFor(features, api).flatMap((right) =>
    namespacesOf(right, places).flatMap((where) => accessOf(right, where, places)),
  )
  const seen = new Map(all.toReversed().map((each) => [keyOf(each), each]))
  return [...seen.values()].toReversed()
}

/** The rights that these features need where hosts are written in `api`. */
export function rightsFor(features: readonly Feature[], api: ClusterApi): readonly Right[] {
  return rights.filter((right) => features.includes(right.feature) && (right.api ?? api) === api)
}

/** The namespaces in which a right is needed; `undefined` is the cluster. */
export function namespacesOf({ scope }: Right, places: Places): readonly (string | undefined)[] {
  return scope === 'cluster' ? [undefined] : [...new Set(places[scope])]
}

/** The objects that a right is for; `undefined` is all of them. */
export function resourceNamesOf(
  { names }: Right,
  { revisions = [] }: Places,
): readonly string[] | undefined {
  return names?.flatMap((name) =>
    name.includes('<revision>')
      ? revisions
          .filter((revision) => revision !== 'default')
          .map((revision) => name.replace('<revision>', revision))
      : [name],
  )
}

function accessOf(right: Right, namespace: string | undefined, places: Places): readonly Needed[] {
  const { feature, group, resources, verbs } = right
  const names = resourceNamesOf(right, places) ?? [undefined]
  return resources.flatMap((resource) =>
    names.flatMap((name) =>
      verbs.map((verb) => ({
        ...{ feature, verb, group, resource },
        ...(namespace === undefined ? {} : { namespace }),
        ...(name === undefined ? {} : { name }),
      })),
    ),
  )
}

function keyOf({ verb, group, resource, namespace, name }: Access): string {
  return JSON.stringify([verb, group, resource, namespace, name])
}
