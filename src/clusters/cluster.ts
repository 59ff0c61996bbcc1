import Type from 'typebox'
import { closed, Name, Namespace, Timestamp } from '../shared/schema.ts'
import { kubeconfigLimit } from './credentials/kubeconfig.ts'

const Kubeconfig = Type.String({
  minLength: 1,
  maxLength: kubeconfigLimit,
  description: 'YAML with everything embedded: kubectl config view --raw --flatten --minify',
})

const Address = Type.String({
  pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$',
  maxLength: 261,
  description: 'host:port at which the service reaches the ingress over TLS, for probes',
})

const Selector = Type.Record(Type.String(), Type.String({ maxLength: 63 }), {
  minProperties: 1,
  maxProperties: 8,
  description: 'Labels of the ingress gateway pods',
})

/** Where hosts come in: the pods that Gateways select, and their address. */
export const Ingress = closed({ namespace: Namespace, selector: Selector, address: Address })
export type Ingress = Type.Static<typeof Ingress>

const AskedIngress = closed({
  namespace: Type.Optional(Namespace),
  selector: Type.Optional(Selector),
  address: Address,
})

/** What an ingress is where nothing else is said: istioctl's default profile. */
export const ingressDefaults = {
  namespace: 'istio-system',
  selector: { istio: 'ingressgateway' },
} as const

export const NewCluster = closed({ name: Name, kubeconfig: Kubeconfig, ingress: AskedIngress })
export type NewCluster = Type.Static<typeof NewCluster>

export const ClusterPatch = closed({
  kubeconfig: Type.Optional(Kubeconfig),
  ingress: Type.Optional(AskedIngress),
})
export type ClusterPatch = Type.Static<typeof ClusterPatch>

export const ClusterStatus = Type.Enum(['Unknown', 'Ready', 'Failed'])
export type ClusterStatus = Type.Static<typeof ClusterStatus>

const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const Cluster = closed(
  {
    name: Name,
    server: nullable(Type.String({ description: 'null to the API key of a tenant' })),
    ingress: Ingress,
    status: ClusterStatus,
    message: nullable(Type.String()),
    kubernetesVersion: nullable(Type.String()),
    checkedAt: nullable(Timestamp),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  },
  { title: 'Cluster' },
)
export type Cluster = Type.Static<typeof Cluster>
