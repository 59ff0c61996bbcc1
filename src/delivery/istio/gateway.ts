import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import type { DesiredHost } from '../renderer.ts'
import { gatewayMetadata, secretName, shortHash } from './names.ts'

/** The Gateway of a host: its TLS server, and what port 80 does for it. */
export function gateway(delivery: DesiredHost): KubeObject {
  const { host, ingress } = delivery
  // Only VirtualServices of the ingress namespace, where tenants cannot write, may bind to the host.
  const hosts = namesOf(host.name, host.spec).map((each) => `${ingress.namespace}/${each}`)
  return {
    ...kinds.istioGateway,
    metadata: gatewayMetadata(delivery),
    spec: {
      selector: ingress.selector,
      servers: [
        ...(delivery.certificate ? [{ port: tlsPort(host), hosts, tls: serverTls(delivery) }] : []),
        ...plainServer(delivery, hosts),
      ],
    },
  }
}

function tlsPort({ name, spec }: DesiredHost['host']) {
  const protocol = spec.tls.mode === 'PASSTHROUGH' ? 'TLS' : 'HTTPS'
  return { number: 443, name: `https-${shortHash(name)}`, protocol }
}

function serverTls(delivery: DesiredHost) {
  const { host, clients } = delivery
  const { tls } = host.spec
  if (tls.mode === 'PASSTHROUGH') return { mode: tls.mode }
  return {
    mode: tls.mode,
    credentialName: secretName(delivery),
    ...(tls.minVersion === undefined ? {} : { minProtocolVersion: tls.minVersion }),
    ...(tls.maxVersion === undefined ? {} : { maxProtocolVersion: tls.maxVersion }),
    // One of these, letter by letter, must be among the client's alternative names (istio.md 1.3).
    ...(clients?.subjectAltName === undefined ? {} : { subjectAltNames: [clients.subjectAltName] }),
  }
}

/** While a challenge is answered there is a server that redirects nothing by itself: Envoy would redirect that, too. */
function plainServer({ host, challenges = [] }: DesiredHost, hosts: readonly string[]) {
  const { name, spec } = host
  const port = { number: 80, name: `http-${shortHash(name)}`, protocol: 'HTTP' }
  if (challenges.length > 0) return [{ port, hosts }]
  if (spec.http === 'off') return []
  return spec.http === 'redirect'
    ? [{ port, hosts, tls: { httpsRedirect: true } }]
    : [{ port, hosts }]
}
