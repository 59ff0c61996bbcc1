import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { DesiredHost } from '../renderer.ts'
import { backendRules } from './destinationrule.ts'
import { gateway } from './gateway.ts'
import { backendSecret, ingressSecrets } from './secret.ts'
import { virtualService } from './virtualservice.ts'

/** The objects of a host, in the order in which they may appear: Secrets before the Gateway that names
 *  them, the Gateway and the DestinationRules before the VirtualService bound to it, whose routes name their
 *  subsets (istio.md 7.6). */
export function manifests(delivery: DesiredHost): readonly KubeObject[] {
  if (!delivery.certificate) {
    return delivery.challenges?.length ? [gateway(delivery), virtualService(delivery)] : []
  }
  const secrets =
    delivery.host.spec.tls.mode === 'PASSTHROUGH'
      ? [backendSecret(delivery)]
      : ingressSecrets(delivery)
  const backends = backendRules(delivery)
  return [
    ...[...secrets, ...backends.secrets],
    ...[gateway(delivery), ...backends.rules, virtualService(delivery)],
  ]
}
