import Type from 'typebox'
import { closed, nullable } from '../../shared/schema.ts'

const CheckStatus = Type.Enum(['ok', 'warning', 'failed', 'unknown'], {
  title: 'CheckStatus',
  description: 'failed: hosts cannot be served; unknown: could not be looked at, message says why',
})
type CheckStatus = Type.Static<typeof CheckStatus>

/** One thing that was looked at. */
export const Check = closed(
  {
    item: Type.String({
      description:
        'reachable, credentials, kubernetes, identity, kinds, gateway-api, istio, ingress, gateway-secrets, rights or validation; more may come',
    }),
    subject: nullable(
      Type.String({ description: 'Which one of them: a kind, an ingress, what rights are for' }),
    ),
    status: CheckStatus,
    message: Type.String({ description: 'What was found; if it is not ok, what to do' }),
  },
  { title: 'ClusterCheck' },
)
export type Check = Type.Static<typeof Check>
export const Checks = Type.Array(Check)

const Pod = closed({ name: Type.String(), ready: Type.Boolean() }, { title: 'GatewayPod' })
const Port = closed(
  { port: Type.Integer(), targetPort: Type.String() },
  { title: 'GatewayServicePort' },
)
const Service = closed(
  { name: Type.String(), ports: Type.Array(Port) },
  { title: 'GatewayService' },
)

/** The gateway workload of an ingress: its pods, and the Services that lead to them. */
export const FoundIngress = closed(
  {
    name: Type.String({ description: 'The ingress of the cluster' }),
    namespace: Type.String(),
    pods: Type.Array(Pod),
    services: Type.Array(Service),
  },
  { title: 'ClusterIngressWorkload' },
)
export type FoundIngress = Type.Static<typeof FoundIngress>

export const ServedKind = closed(
  {
    group: Type.String(),
    kind: Type.String(),
    versions: Type.Array(Type.String()),
  },
  { title: 'ServedKind' },
)
export type ServedKind = Type.Static<typeof ServedKind>

/** What a cluster was found to be. */
export const ClusterFound = closed(
  {
    uid: nullable(
      Type.String({ description: 'Of the namespace kube-system: tells clusters apart' }),
    ),
    istioVersion: nullable(Type.String()),
    istioRevision: nullable(Type.String()),
    gatewayApiVersion: nullable(Type.String({ description: 'Of its CRDs (bundle-version)' })),
    served: Type.Array(ServedKind),
    ingresses: Type.Array(FoundIngress),
  },
  { title: 'ClusterFound' },
)
export type ClusterFound = Type.Static<typeof ClusterFound>

/** A check of this item; the subject tells it from others of the same item. */
export function check(
  item: string,
  status: CheckStatus,
  message: string,
  subject: string | null = null,
): Check {
  return { item, subject, status, message: message.slice(0, 2000) }
}
