import { Server as TlsServer } from 'node:https'
import type { ConnectionOptions } from 'node:tls'
import { ingressPod } from '../apiserver/seeds.ts'
import { covers } from '../hostname.ts'
import { at, type Fields, fields, isFields, list, text, texts } from '../json.ts'
import { destinationRules, secrets, services } from '../kinds.ts'
import type { Store } from '../store.ts'
import { sampleNamespace, type Workload } from '../workloads.ts'
import type { Destination } from './routes.ts'
import { byAge } from './servers.ts'

/** What a destination comes to: a loopback port for HTTP or for TLS, a Service without anything behind it,
 *  or nothing the mesh knows. */
export type Upstream =
  | {
      readonly kind: 'http' | 'tls'
      readonly port: number
      /** The gateway itself speaks TLS to it, so. */
      readonly origination?: ConnectionOptions
    }
  | { readonly kind: 'unhealthy' | 'unknown' }

/** The way from a destination of a VirtualService to what answers for it. */
export type Upstreams = { find(destination: Destination): Upstream }

/** Upstreams by the stored Services: a name without dots is of the VirtualService's namespace, any other
 *  has to be whole (`name.namespace.svc.cluster.local`), and the selector finds the workload. A subset is one of
 *  a DestinationRule of the gateway's own namespace, and says whether TLS is spoken and who is trusted. */
export function createUpstreams(store: Store, workloads: readonly Workload[]): Upstreams {
  return {
    find(destination) {
      const service = serviceOf(store, destination)
      const port = service && targetPort(service, destination.port)
      if (port === undefined) return { kind: 'unknown' }
      const subset = destination.subset === undefined ? {} : subsetOf(store, destination)
      if (!subset) return { kind: 'unknown' }
      const app = text(fields(service, 'spec', 'selector'), 'app')
      const inSamples = text(service, 'metadata', 'namespace') === sampleNamespace
      const workload = inSamples ? workloads.find((each) => each.app === app) : undefined
      const found = workload?.ports.get(port)
      const address = found?.address()
      if (!address || typeof address === 'string') return { kind: 'unhealthy' }
      const tls = at(subset, 'trafficPolicy', 'tls')
      const origination = isFields(tls) ? originationOf(store, tls) : undefined
      return {
        kind: found instanceof TlsServer ? 'tls' : 'http',
        port: address.port,
        ...(origination ? { origination } : {}),
      }
    },
  }
}

/** istiod joins the rules for one host, and of a name that comes twice the oldest is taken. */
function subsetOf(store: Store, { host, subset }: Destination): Fields | undefined {
  return store
    .list(destinationRules, ingressPod.namespace)
    .toSorted(byAge)
    .filter((rule) => text(rule, 'spec', 'host') === host)
    .flatMap((rule) => list(rule, 'spec', 'subsets').filter(isFields))
    .find((each) => text(each, 'name') === subset)
}

/** How TLS is spoken to a backend: whom to trust is in the Secret of the credential, or the system's own, and with
 *  MUTUAL what is shown is there, too. */
function originationOf(store: Store, tls: Fields): ConnectionOptions | undefined {
  const mode = text(tls, 'mode')
  if (mode !== 'SIMPLE' && mode !== 'MUTUAL') return undefined
  const credential = text(tls, 'credentialName')
  const named = (name: string) => store.get(secrets, ingressPod.namespace, name)
  const secret = credential ? (named(`${credential}-cacert`) ?? named(credential)) : undefined
  const decoded = (of: Fields | undefined, key: string) =>
    Buffer.from(text(of, 'data', key), 'base64').toString('utf8')
  const pem = decoded(secret, 'ca.crt') || decoded(secret, 'cacert')
  const pair = mode === 'MUTUAL' ? named(credential) : undefined
  const wanted = texts(tls, 'subjectAltNames')
  return {
    servername: text(tls, 'sni'),
    ...(credential ? { ca: pem } : {}),
    ...(pair ? { cert: decoded(pair, 'tls.crt'), key: decoded(pair, 'tls.key') } : {}),
    checkServerIdentity: (_name, { subjectaltname = '' }) => {
      const names = subjectaltname.split(', ').map((each) => each.replace(/^[A-Za-z ]+:/, ''))
      const held = wanted.length === 0 || wanted.some((each) => names.some((n) => covers(n, each)))
      return held ? undefined : new Error(`the backend is ${subjectaltname}`)
    },
  }
}

function serviceOf(store: Store, { host, namespace }: Destination): Fields | undefined {
  if (!host.includes('.')) return store.get(services, namespace, host)
  const [name = '', of = '', ...domain] = host.split('.')
  return domain.join('.') === 'svc.cluster.local' ? store.get(services, of, name) : undefined
}

/** The container port; a destination without a port needs a Service with only one. */
function targetPort(service: Fields, wanted: number | undefined): number | undefined {
  const ports = list(service, 'spec', 'ports')
  const [only] = ports
  const port =
    wanted === undefined && ports.length === 1
      ? only
      : ports.find((each) => at(each, 'port') === wanted)
  const target = port === undefined ? undefined : at(port, 'targetPort')
  return typeof target === 'number' ? target : undefined
}
