import { defaultIngress } from '../../clusters/cluster.ts'
import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { type BackendTls, type Destination, destinationsOf } from '../../hosts/route.ts'
import { must } from '../../shared/must.ts'
import type { DesiredHost } from '../renderer.ts'
import { apart, metadata, objectName, shortHash } from './names.ts'
import { base64, keyPair } from './secret.ts'

/** A backend that a host speaks TLS to, and how. */
type Secured = Destination & { readonly tls: BackendTls }

/** How a host speaks TLS to its backends: a DestinationRule for each service and each way, with one subset
 *  that only this host's routes name, and the Secret of whom to trust and of what the gateway shows.
 *
 *  istiod joins the rules of one namespace for one service: their subsets stand side by side, so hosts that
 *  lead to the same service differ as they like, and whoever names no subset is served as before. A rule's
 *  name follows from all that it says: a change makes a new one before the old one goes, and no request
 *  finds its subset missing. `exportTo` keeps it to the gateways of the namespace. */
export function backendRules(delivery: DesiredHost): {
  readonly secrets: readonly KubeObject[]
  readonly rules: readonly KubeObject[]
} {
  const all = delivery.host.spec.routes.flatMap(destinationsOf).filter(isSecured)
  const once = [...new Map(all.map((each) => [ruleName(delivery, each), each]))]
  return {
    secrets: once.flatMap(([name, { tls }]) => credential(delivery, name, tls)),
    rules: once.map(([name, backend]) => rule(delivery, name, backend)),
  }
}

/** The subset that a destination is reached by; none: its service as it is. */
export function subsetOf(delivery: DesiredHost, backend: Destination): string | undefined {
  return isSecured(backend) ? ruleName(delivery, backend) : undefined
}

/** `web.shop.svc.cluster.local`, as istiod knows a Service. */
export function serviceHost({ service, namespace }: Destination): string {
  return `${service}.${namespace}.svc.cluster.local`
}

function isSecured(backend: Destination): backend is Secured {
  return backend.tls !== undefined
}

/** A DNS label, as names of subsets are. */
function ruleName({ host, ingress }: DesiredHost, backend: Secured): string {
  const { mode, sni, subjectAltNames, caCertificates, clientCertificate } = backend.tls
  const shown = clientCertificate === undefined ? [] : [clientCertificate]
  const said = [mode, sni, subjectAltNames ?? [], caCertificates ?? '', ...shown]
  const own = apart(host.name, ingress.name ?? defaultIngress)
  const whole = JSON.stringify([own, serviceHost(backend), said])
  return `${objectName(host.name, ingress.name).slice(0, 45).replace(/-+$/, '')}-${shortHash(whole)}${shortHash(`${whole}#`)}`
}

function rule(delivery: DesiredHost, name: string, backend: Secured): KubeObject {
  const { mode, sni, subjectAltNames, caCertificates } = backend.tls
  const tls = {
    mode,
    sni,
    // Without these Envoy takes any certificate that it trusts for the backend's.
    subjectAltNames: subjectAltNames ?? [sni],
    ...(caCertificates === undefined ? {} : { credentialName: name }),
  }
  return {
    ...kinds.istioDestinationRule,
    metadata: metadata(delivery, name, delivery.ingress.namespace),
    spec: {
      host: serviceHost(backend),
      exportTo: ['.'],
      subsets: [{ name, trafficPolicy: { tls } }],
    },
  }
}

/** Where istiod looks for what a credential has: under its name, the CA by the key ca.crt, and the key pair as
 *  that of a server (istio.md 1.5). Its name stays when the certificate is renewed: the gateway takes the new
 *  one up without a change of the rule. */
function credential(delivery: DesiredHost, name: string, tls: BackendTls): readonly KubeObject[] {
  const { caCertificates, clientCertificate } = tls
  if (caCertificates === undefined) return []
  const place = { name, namespace: delivery.ingress.namespace }
  const ca = base64(caCertificates)
  if (clientCertificate !== undefined) {
    const pair = must(delivery.backendClients?.get(clientCertificate), 'gathered with the host')
    const secret = keyPair(delivery, place, pair)
    return [{ ...secret, data: { ...secret.data, 'ca.crt': ca } }]
  }
  return [
    {
      ...kinds.secret,
      metadata: metadata(delivery, name, delivery.ingress.namespace),
      type: 'Opaque',
      data: { 'ca.crt': ca },
    },
  ]
}
