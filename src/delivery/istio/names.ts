import { createHash } from 'node:crypto'
import { defaultIngress } from '../../clusters/cluster.ts'
import { type DesiredHost, labels, manager } from '../renderer.ts'

/** The name of a host's objects: one DNS label, the same through every change, since a Secret under
 *  another name would drain connections and a Gateway made anew would lose its age. It follows from the
 *  host name and the ingress alone: of two that would serve it, the second finds the first one's objects. */
export function objectName(hostname: string, ingress: string = defaultIngress): string {
  return `${slugOf(hostname)}-${shortHash(apart(hostname, ingress))}`
}

/** What tells the objects of a host on one ingress from those on another: no host name has a slash. The objects
 *  of the default ingress are called as before there were others. */
export function apart(hostname: string, ingress: string): string {
  return ingress === defaultIngress ? hostname : `${ingress}/${hostname}`
}

/** The name of the Secret in the ingress gateway's namespace: that of the other objects, and for MUTUAL
 *  one that stands for whose clients are let in, for it and for the Secret with the trust, which is named
 *  after it (`secret.ts`). A gateway hears of Secrets and of Gateways apart, in no order: with one name for
 *  all, the trust of the one would for a moment go with the demands of the other, and let in whom neither
 *  did. So whoever changes whom to let in changes the name, in the Gateway, which takes effect whole.
 *  Certificates, lists and keys of the same authority come and go under it, each in its own Secret: neither
 *  says who is let in by the other, and with one of the two missing Envoy takes no connection. */
export function secretName({
  host,
  ingress,
  clients,
}: Pick<DesiredHost, 'host' | 'ingress' | 'clients'>): string {
  const { mode, clientAuthority } = host.spec.tls
  if (mode !== 'MUTUAL') return objectName(host.name, ingress.name)
  const name = apart(host.name, ingress.name ?? defaultIngress)
  const letIn = JSON.stringify([name, clientAuthority, clients?.subjectAltName ?? null])
  return `${slugOf(host.name)}-${shortHash(letIn)}`
}

/** What ends in hex after it never ends in -cacert, which Istio takes for a client CA. */
function slugOf(hostname: string): string {
  const slug = hostname.replace('*', 'wildcard').replaceAll('.', '-')
  return slug.slice(0, 54).replace(/-+$/, '')
}

/** Eight hexadecimal digits that follow from the text. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

/** The metadata of an object of a host: our labels, by which it is found again and known as ours. */
export function metadata({ host }: DesiredHost, name: string, namespace: string) {
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

/** That of its Gateway, with what others read there, as external-dns does; ours have the last word. */
export function gatewayMetadata(delivery: DesiredHost) {
  const { host, ingress } = delivery
  const common = metadata(delivery, objectName(host.name, ingress.name), ingress.namespace)
  return { ...common, annotations: { ...host.spec.annotations, ...common.annotations } }
}
