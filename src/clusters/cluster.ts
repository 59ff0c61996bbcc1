import Type from 'typebox'
import { closed, examplePem, Name, Namespace, nullable, Timestamp } from '../shared/schema.ts'
import { Check, ClusterFound } from './checks/schema.ts'
import { kubeconfigLimit } from './credentials/kubeconfig.ts'

const Kubeconfig = Type.String({
  minLength: 1,
  maxLength: kubeconfigLimit,
  description: 'YAML with everything embedded: kubectl config view --raw --flatten --minify',
})

const addressOf = (description: string) =>
  Type.String({
    pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$',
    maxLength: 261,
    description,
  })

const Address = addressOf('host:port at which the service reaches the ingress over TLS, for probes')

const PlainAddress = Type.Optional(
  addressOf(
    'host:port at which the service reaches its plain HTTP, where probes are to ask that, too',
  ),
)

const AdminAddress = Type.Optional(
  addressOf(
    'host:port of the admin interface of its Envoy, where no port of a pod can be forwarded; never shown to tenants',
  ),
)

const Selector = Type.Record(Type.String(), Type.String({ maxLength: 63 }), {
  minProperties: 1,
  maxProperties: 8,
  description: 'Labels of the ingress gateway pods',
})

/** Where hosts come in: the pods that Gateways select, and their address. */
export const Ingress = closed(
  {
    namespace: Namespace,
    selector: Selector,
    address: Address,
    plainAddress: PlainAddress,
    adminAddress: AdminAddress,
  },
  { title: 'Ingress' },
)
export type Ingress = Type.Static<typeof Ingress>

/** The name of the ingress that a cluster always has, which hosts come in by where they name none. */
export const defaultIngress = 'default'

/** Further ingresses of a cluster, by name. */
export const Ingresses = Type.Record(Name, Ingress, {
  additionalProperties: false,
  description: 'Further ingress gateways, by name',
})
export type Ingresses = Type.Static<typeof Ingresses>

/** An ingress by its name; without one it is the default. `service`: the one that leads to its pods, as a check
 *  has found it, where Gateways are bound to Services. */
export type NamedIngress = Ingress & { readonly name?: string; readonly service?: string }

/** Where a host goes, as it is asked for: `prod` is the default ingress of that cluster, `prod/internal`
 *  another one. */
export const PlaceText = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$',
  maxLength: 127,
  description: 'A cluster, or cluster/ingress for another ingress than its default one',
})

/** A cluster by name, and one of its ingresses. */
export type Place = { readonly cluster: string; readonly ingress: string }

/** The place of such a text. */
export function placeOf(text: string): Place {
  const [cluster = '', ingress = defaultIngress] = text.split('/')
  return { cluster, ingress }
}

/** Its one spelling. */
export function placeText({ cluster, ingress }: Place): string {
  return ingress === defaultIngress ? cluster : `${cluster}/${ingress}`
}

const AskedIngress = closed(
  {
    namespace: Type.Optional(Namespace),
    selector: Type.Optional(Selector),
    address: Address,
    plainAddress: PlainAddress,
    adminAddress: AdminAddress,
  },
  { title: 'IngressSpec' },
)
export type AskedIngress = Type.Static<typeof AskedIngress>

/** What is done where others change or remove what was put on the cluster. */
export const Drift = Type.Enum(['repair', 'report'], {
  title: 'DriftPolicy',
  description:
    'What others change or remove of what was put on the cluster: repair puts it right (the default), report says so in the status of the host and overwrites nothing until the host is put again or the cluster synced',
})
export type Drift = Type.Static<typeof Drift>

/** In whose words hosts are written on a cluster. */
export const ClusterApi = Type.Enum(['istio', 'gateway-api'], {
  title: 'ClusterApi',
  description:
    'What hosts become there: istio (the default), Gateways and VirtualServices of Istio; gateway-api, Gateways and HTTPRoutes of the Kubernetes Gateway API, which cannot say all that Istio can. It stays while hosts are on the cluster',
})
export type ClusterApi = Type.Static<typeof ClusterApi>

/** How what happens on a cluster is heard of. */
export const Watched = closed(
  {
    mode: Type.Enum(['watching', 'listing', 'blind'], {
      title: 'ClusterWatchMode',
      description:
        'watching: at once. listing: every half minute, for lack of a right to watch. blind: not at all, only when each host is looked at in its turn',
    }),
    message: nullable(
      Type.String({ description: 'Why it is not watched, as the cluster says it' }),
    ),
    orphans: Type.Array(Type.String(), {
      maxItems: 20,
      description:
        'Objects with the labels of Gatesmith that belong to no host here: left behind, or of another installation. They are never touched',
    }),
    at: Timestamp,
  },
  { title: 'ClusterWatch' },
)
export type Watched = Type.Static<typeof Watched>

/** What an ingress is where nothing else is said: istioctl's default profile. */
export const ingressDefaults = {
  namespace: 'istio-system',
  selector: { istio: 'ingressgateway' },
} as const

/** How the service gets to the Kubernetes API: by a kubeconfig, or by its parts. Which of them go together
 *  is decided by src/clusters/register.ts, which says what is missing. */
const credentials = {
  kubeconfig: Type.Optional(Kubeconfig),
  server: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 2048,
      description: 'Instead of a kubeconfig: https URL of the Kubernetes API, with ca and token',
    }),
  ),
  ca: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 64 * 1024,
      description: 'PEM: the CA certificates by which the server is trusted',
    }),
  ),
  token: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 16 * 1024,
      description: 'Bearer token of a service account, one that stays',
    }),
  ),
}
export type Credentials = Type.Static<Type.TObject<typeof credentials>>

export const NewCluster = closed(
  {
    name: Name,
    ...credentials,
    api: Type.Optional(ClusterApi),
    drift: Type.Optional(Drift),
    ingress: AskedIngress,
    ingresses: Type.Optional(
      Type.Record(Name, AskedIngress, {
        additionalProperties: false,
        description: 'Further ingress gateways, by name: hosts go there as cluster/name',
      }),
    ),
  },
  {
    title: 'NewCluster',
    examples: [
      {
        name: 'sandbox',
        server: 'https://kubernetes.example.com:6443',
        ca: examplePem,
        token: 'eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl',
        ingress: { address: 'ingress.example.com:443' },
      },
    ],
  },
)
export type NewCluster = Type.Static<typeof NewCluster>

export const ClusterPatch = closed(
  {
    ...credentials,
    api: Type.Optional(ClusterApi),
    drift: Type.Optional(Drift),
    ingress: Type.Optional(AskedIngress),
    ingresses: Type.Optional(
      Type.Record(Name, nullable(AskedIngress), {
        additionalProperties: false,
        description:
          'Those that are named are added or replaced, null takes one away that carries no host; the others stay',
      }),
    ),
  },
  {
    title: 'ClusterPatch',
    examples: [{ drift: 'report', ingress: { address: 'ingress.example.com:8443' } }],
  },
)
export type ClusterPatch = Type.Static<typeof ClusterPatch>

const ClusterStatus = Type.Enum(['Unknown', 'Ready', 'Failed'], { title: 'ClusterStatus' })

export const Cluster = closed(
  {
    name: Name,
    server: nullable(Type.String({ description: 'null to the API key of a tenant' })),
    ingress: Ingress,
    ingresses: Ingresses,
    api: ClusterApi,
    drift: Drift,
    watch: Type.Union([Watched, Type.Null()], {
      description: 'null before it is followed, and to the API key of a tenant',
    }),
    status: ClusterStatus,
    message: nullable(Type.String()),
    kubernetesVersion: nullable(Type.String()),
    checks: Type.Array(Check, {
      description: 'What was looked at, item by item; none to the API key of a tenant',
    }),
    found: Type.Union([ClusterFound, Type.Null()], {
      description: 'What the cluster was found to be; null: not yet, or to the API key of a tenant',
    }),
    checkedAt: nullable(Timestamp),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  },
  { title: 'Cluster' },
)
export type Cluster = Type.Static<typeof Cluster>
