import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { tlsBackend } from '../../hosts/request/routes.ts'
import { must } from '../../shared/must.ts'
import type { DesiredHost, Pair } from '../renderer.ts'
import { metadata, objectName, secretName } from './names.ts'

/** The key pair of a host where its ingress reads it, after what a MUTUAL host is to trust: a Secret of its
 *  own, so that a list that no Secret has room for never holds up a certificate. Istio reads NAME-cacert
 *  before it looks for a client CA in NAME (istio.md 1.5). */
export function ingressSecrets(delivery: DesiredHost): readonly KubeObject[] {
  const { ingress, clients } = delivery
  const place = { name: secretName(delivery), namespace: ingress.namespace }
  const pair = keyPair(delivery, place, held(delivery))
  return clients ? [clientTrust(delivery, clients), pair] : [pair]
}

function held({ certificate }: DesiredHost): Pair {
  return must(certificate, 'there is no Secret before there is a certificate')
}

/** The name of the Secret that holds whom a MUTUAL host trusts. */
function trustName(delivery: Pick<DesiredHost, 'host' | 'ingress' | 'clients'>): string {
  return `${secretName(delivery)}-cacert`
}

function clientTrust(
  delivery: DesiredHost,
  { trust, crl }: NonNullable<DesiredHost['clients']>,
): KubeObject {
  return {
    ...kinds.secret,
    metadata: metadata(delivery, trustName(delivery), delivery.ingress.namespace),
    type: 'Opaque',
    data: { 'ca.crt': base64(trust), ...(crl === undefined ? {} : { 'ca.crl': base64(crl) }) },
  }
}

/** The key pair where the workload mounts it, in a Secret or a ConfigMap: with PASSTHROUGH the backend ends the connection. One for
 *  all ingresses of a cluster that the host is on. */
export function backendSecret(delivery: DesiredHost): KubeObject {
  const { spec } = delivery.host
  const name = spec.certificate.secretName ?? objectName(delivery.host.name)
  const place = { name, namespace: tlsBackend(spec).namespace }
  return spec.certificate.store === 'configMap'
    ? configMap(delivery, place)
    : keyPair(delivery, place, held(delivery))
}

/** Only for who said in so many words that a private key may lie in one. */
function configMap(
  delivery: DesiredHost,
  { name, namespace }: { name: string; namespace: string },
): KubeObject {
  const { metadata } = keyPair(delivery, { name, namespace }, held(delivery))
  const { chain, key } = held(delivery)
  return { ...kinds.configMap, metadata, data: { 'tls.crt': chain, 'tls.key': key } }
}

/** A key pair of a host as a kubernetes.io/tls Secret. */
export function keyPair(
  delivery: DesiredHost,
  { name, namespace }: { readonly name: string; readonly namespace: string },
  { serial, chain, key }: Pair,
) {
  const common = metadata(delivery, name, namespace)
  // On the Secret alone: a rotation touches nothing else, so no listener is pushed anew.
  const annotations = { ...common.annotations, 'gatesmith.dev/certificate': serial }
  return {
    ...kinds.secret,
    metadata: { ...common, annotations },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(chain), 'tls.key': base64(key) },
  } satisfies KubeObject
}

/** As the data of a Secret. */
export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
