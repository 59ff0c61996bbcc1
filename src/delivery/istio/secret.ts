import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { Delivery } from '../renderer.ts'
import { metadata, objectName, secretName } from './names.ts'
import { tlsBackend } from './virtualservice.ts'

/** The key pair of a host where its ingress reads it, with what a MUTUAL host is to trust. */
export function ingressSecret(delivery: Delivery): KubeObject {
  const { ingress, clients } = delivery
  const trust = clients
    ? {
        'ca.crt': base64(clients.trust),
        ...(clients.crl === undefined ? {} : { 'ca.crl': base64(clients.crl) }),
      }
    : {}
  return secret(delivery, { name: secretName(delivery), namespace: ingress.namespace }, trust)
}

/** The key pair where the workload mounts it: with PASSTHROUGH the backend ends the connection. One for
 *  all ingresses of a cluster that the host is on. */
export function backendSecret(delivery: Delivery): KubeObject {
  const { spec } = delivery.host
  const name = spec.certificate.secretName ?? objectName(delivery.host.name)
  return secret(delivery, { name, namespace: tlsBackend(spec).to.namespace }, {})
}

function secret(
  delivery: Delivery,
  { name, namespace }: { name: string; namespace: string },
  trust: Readonly<Record<string, string>>,
): KubeObject {
  const { serial, chain, key } = delivery.certificate
  const common = metadata(delivery, name, namespace)
  // On the Secret alone: a rotation touches nothing else, so no listener is pushed anew.
  const annotations = { ...common.annotations, 'gatesmith.dev/certificate': serial }
  return {
    ...kinds.secret,
    metadata: { ...common, annotations },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(chain), 'tls.key': base64(key), ...trust },
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
