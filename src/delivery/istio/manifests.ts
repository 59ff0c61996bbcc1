import { createHash } from 'node:crypto'
import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { CompleteSpec, Route } from '../../hosts/host.ts'
import { tlsRoute } from '../../hosts/request/complete.ts'
import { type Delivery, labels, manager } from '../renderer.ts'

/** The objects of a host, in the order in which they may appear: the Secret before the Gateway that
 *  names it, the Gateway before the VirtualService bound to it (istio.md 7.6). */
export function manifests(delivery: Delivery): readonly KubeObject[] {
  const { host } = delivery
  return host.spec.tls.mode === 'PASSTHROUGH'
    ? [backendSecret(delivery), gateway(delivery), virtualService(delivery)]
    : [ingressSecret(delivery), gateway(delivery), virtualService(delivery)]
}

/** The name of a host's objects: one DNS label, the same through every change, since a Secret under
 *  another name would drain connections and a Gateway made anew would lose its age. It follows from the
 *  host name alone: of two that would serve it, the second finds the first one's objects. */
export function objectName(hostname: string): string {
  return `${slugOf(hostname)}-${shortHash(hostname)}`
}

/** The name of the Secret in the ingress gateway's namespace: that of the other objects, and for MUTUAL
 *  one that stands for whose clients are let in. A gateway hears of Secrets and of Gateways apart, in no
 *  order: with one name for all, the trust of the one would for a moment go with the demands of the
 *  other, and let in whom neither did. So whoever changes whom to let in changes the name, in the Gateway,
 *  which takes effect whole. Certificates, lists and keys of the same authority come and go under it. */
export function secretName({ host, clients }: Pick<Delivery, 'host' | 'clients'>): string {
  const { mode, clientAuthority } = host.spec.tls
  if (mode !== 'MUTUAL') return objectName(host.name)
  const letIn = JSON.stringify([host.name, clientAuthority, clients?.subjectAltName ?? null])
  return `${slugOf(host.name)}-${shortHash(letIn)}`
}

/** What ends in hex after it never ends in -cacert, which Istio takes for a client CA. */
function slugOf(hostname: string): string {
  const slug = hostname.replace('*', 'wildcard').replaceAll('.', '-')
  return slug.slice(0, 54).replace(/-+$/, '')
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

function metadata({ host }: Delivery, name: string, namespace: string) {
  return {
    name,
    namespace,
    labels: {
      [labels.managedBy]: manager,
      [labels.tenant]: host.tenant,
      [labels.hostId]: host.id,
    },
    annotations: { 'gatesmith.dev/generation': String(host.generation) },
  }
}

function ingressSecret(delivery: Delivery): KubeObject {
  const { ingress, clients } = delivery
  const trust = clients
    ? {
        'ca.crt': base64(clients.trust),
        ...(clients.crl === undefined ? {} : { 'ca.crl': base64(clients.crl) }),
      }
    : {}
  return secret(delivery, { name: secretName(delivery), namespace: ingress.namespace }, trust)
}

/** Where the workload mounts it: with PASSTHROUGH the backend ends the connection. */
function backendSecret(delivery: Delivery): KubeObject {
  const { spec } = delivery.host
  const name = spec.certificate.secretName ?? objectName(delivery.host.name)
  return secret(delivery, { name, namespace: backend(spec).to.namespace }, {})
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

function gateway(delivery: Delivery): KubeObject {
  const { host, ingress } = delivery
  const name = objectName(host.name)
  // Only VirtualServices of the ingress namespace, where tenants cannot write, may bind to the host.
  const hosts = [`${ingress.namespace}/${host.name}`]
  return {
    ...kinds.istioGateway,
    metadata: metadata(delivery, name, ingress.namespace),
    spec: {
      selector: ingress.selector,
      servers: [
        { port: tlsPort(host), hosts, tls: serverTls(delivery) },
        ...plainServer(host, hosts),
      ],
    },
  }
}

function tlsPort({ name, spec }: Delivery['host']) {
  const protocol = spec.tls.mode === 'PASSTHROUGH' ? 'TLS' : 'HTTPS'
  return { number: 443, name: `https-${shortHash(name)}`, protocol }
}

function serverTls(delivery: Delivery) {
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

function plainServer({ name, spec }: Delivery['host'], hosts: readonly string[]) {
  const port = { number: 80, name: `http-${shortHash(name)}`, protocol: 'HTTP' }
  if (spec.http === 'off') return []
  return spec.http === 'redirect'
    ? [{ port, hosts, tls: { httpsRedirect: true } }]
    : [{ port, hosts }]
}

function virtualService(delivery: Delivery): KubeObject {
  const { host, ingress } = delivery
  const name = objectName(host.name)
  const plain = host.spec.routes.filter((route) => route !== tlsRoute(host.spec))
  return {
    ...kinds.istioVirtualService,
    metadata: metadata(delivery, name, ingress.namespace),
    spec: {
      hosts: [host.name],
      gateways: [`${ingress.namespace}/${name}`],
      ...(host.spec.tls.mode === 'PASSTHROUGH'
        ? {
            tls: [
              {
                match: [{ port: 443, sniHosts: [host.name] }],
                route: [destination(backend(host.spec))],
              },
            ],
          }
        : {}),
      ...(plain.length > 0 ? { http: ordered(plain).map(httpRoute) } : {}),
    },
  }
}

/** The first match wins in Envoy: exact paths, then longer prefixes, then those for one port. */
function ordered(routes: readonly Route[]): readonly Route[] {
  const rank = ({ match }: Route) => [
    match.exact === undefined ? 1 : 0,
    -(match.exact ?? match.prefix ?? '').length,
    match.port === undefined ? 1 : 0,
  ]
  return routes.toSorted((a, b) => {
    const ranks = rank(b)
    return rank(a).reduce((order, each, index) => order || each - (ranks[index] ?? 0), 0)
  })
}

function httpRoute(route: Route) {
  const { exact, prefix, port } = route.match
  const uri = exact === undefined ? { prefix: prefix ?? '/' } : { exact }
  return {
    match: [{ uri, ...(port === undefined ? {} : { port }) }],
    route: [destination(route)],
  }
}

function destination({ to }: Route) {
  const host = `${to.service}.${to.namespace}.svc.cluster.local`
  return { destination: { host, port: { number: to.port } } }
}

function backend(spec: CompleteSpec): Route {
  const route = tlsRoute(spec)
  if (!route) throw new Error('A PASSTHROUGH host has a TLS route: src/hosts/request/complete.ts')
  return route
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
