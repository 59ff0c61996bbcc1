import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { Delivery } from '../renderer.ts'
import { gateway } from './gateway.ts'
import { backendSecret, ingressSecret } from './secret.ts'
import { virtualService } from './virtualservice.ts'

/** The objects of a host, in the order in which they may appear: the Secret before the Gateway that
 *  names it, the Gateway before the VirtualService bound to it (istio.md 7.6). */
export function manifests(delivery: Delivery): readonly KubeObject[] {
  const { host } = delivery
  return host.spec.tls.mode === 'PASSTHROUGH'
    ? [backendSecret(delivery), gateway(delivery), virtualService(delivery)]
    : [ingressSecret(delivery), gateway(delivery), virtualService(delivery)]
}
