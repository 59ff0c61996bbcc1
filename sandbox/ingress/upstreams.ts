import { Server as TlsServer } from 'node:https'
import type { ConnectionOptions } from 'node:tls'
import { at, type Fields, fields, list, text } from '../json.ts'
import { services } from '../kinds.ts'
import type { Store } from '../store.ts'
import { sampleNamespace, type Workload } from '../workloads.ts'
import type { Destination } from './routes.ts'

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
 *  has to be whole (`name.namespace.svc.cluster.local`), and the selector finds the workload. */
export function createUpstreams(store: Store, workloads: readonly Workload[]): Upstreams {
  return {
    find(destination) {
      const service = serviceOf(store, destination)
      const port = service && targetPort(service, destination.port)
      if (port === undefined) return { kind: 'unknown' }
      const app = text(fields(service, 'spec', 'selector'), 'app')
      const inSamples = text(service, 'metadata', 'namespace') === sampleNamespace
      const workload = inSamples ? workloads.find((each) => each.app === app) : undefined
      const found = workload?.ports.get(port)
      const address = found?.address()
      if (!address || typeof address === 'string') return { kind: 'unhealthy' }
      return { kind: found instanceof TlsServer ? 'tls' : 'http', port: address.port }
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
