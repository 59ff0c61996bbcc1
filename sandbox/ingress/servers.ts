import { at, type Fields, fields, isFields, list, text, texts } from '../json.ts'

/** The objects a gateway reads, and the pod it runs in. */
export type World = {
  readonly gateways: readonly Fields[]
  readonly virtualServices: readonly Fields[]
  readonly services: readonly Fields[]
  readonly pod: { readonly namespace: string; readonly labels: Fields }
}

/** A host of a server, with the namespace whose VirtualServices may bind to it (`*` is any). */
export type Host = { readonly namespace: string; readonly name: string; readonly written: string }
/** A server of a Gateway. */
export type Server = {
  readonly gateway: string
  readonly number: number
  readonly portName: string
  readonly protocol: string
  readonly hosts: readonly Host[]
  readonly tls: Fields
}

/** Ascending creationTimestamp (whole seconds), then name, then namespace. */
export function byAge(a: Fields, b: Fields): number {
  const key = (object: Fields) =>
    ['creationTimestamp', 'name', 'namespace']
      .map((fact) => text(object, 'metadata', fact))
      .join('\u0000')
  return key(a) < key(b) ? -1 : 1
}

/** Does the server speak TLS, be it terminated or passed through? */
export function isTls({ protocol }: Server): boolean {
  return protocol === 'HTTPS' || protocol === 'TLS'
}

const plainProtocols = ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY']

/** Does the server speak HTTP in the clear? What speaks neither TLS nor HTTP has its port for itself. */
export function isPlain({ protocol }: Server): boolean {
  return plainProtocols.includes(protocol)
}

function canMerge(first: Server, other: Server): boolean {
  return isTls(first) ? isTls(other) : isPlain(first) && isPlain(other)
}

/** The servers of all Gateways that select the pod, by pod port, oldest Gateway first, as istiod merges
 *  them (pilot/pkg/model/gateway.go, mergeGateways): a later TLS server that repeats a host is dropped
 *  whole, and the protocol of a port is that of its first server. */
export function serversByPort(world: World, remarks: string[]): Map<number, Server[]> {
  const ports = new Map<number, Server[]>()
  const taken = new Map<number, Set<string>>()
  for (const gateway of world.gateways.toSorted(byAge)) {
    const wanted = Object.entries(fields(gateway, 'spec', 'selector'))
    if (!wanted.every(([key, value]) => world.pod.labels[key] === value)) continue
    for (const each of list(gateway, 'spec', 'servers').filter(isFields)) {
      const server = serverOf(gateway, each)
      const port = podPort(world, server.number)
      const servers = ports.get(port) ?? []
      const hosts = taken.get(port) ?? new Set<string>()
      const [first] = servers
      if (first && !canMerge(first, server)) {
        remarks.push(
          `skipping server ${server.portName} of ${server.gateway}: port ${port} has another protocol already`,
        )
        continue
      }
      const repeated = isTls(server) && server.hosts.find(({ written }) => hosts.has(written))
      if (repeated) {
        remarks.push(
          `skipping server ${server.portName} of ${server.gateway}: duplicate host names ${repeated.written}`,
        )
        continue
      }
      for (const { written } of server.hosts) hosts.add(written)
      taken.set(port, hosts)
      ports.set(port, [...servers, server])
    }
  }
  return ports
}

function serverOf(gateway: Fields, server: Fields): Server {
  const namespace = text(gateway, 'metadata', 'namespace')
  const written = texts(server, 'hosts')
  const hosts = (written.includes('*/*') ? ['*'] : written).map((each) => hostOf(each, namespace))
  return {
    gateway: `${namespace}/${text(gateway, 'metadata', 'name')}`,
    number: Number(at(server, 'port', 'number')),
    portName: text(server, 'port', 'name'),
    protocol: text(server, 'port', 'protocol').toUpperCase(),
    hosts,
    tls: fields(server, 'tls'),
  }
}

/** `./h` is of the Gateway's own namespace, `*` and none of any; the duplicate check compares what this
 *  leaves, letter by letter. */
function hostOf(written: string, own: string): Host {
  const slash = written.indexOf('/')
  if (slash < 0) return { namespace: '*', name: written, written }
  const given = written.slice(0, slash)
  const name = written.slice(slash + 1)
  if (given === '*') return { namespace: '*', name, written: name }
  const namespace = given === '.' ? own : given
  return { namespace, name, written: `${namespace}/${name}` }
}

/** The pod's port for a Gateway's number: through the first Service that selects the pod and has it. */
function podPort({ services, pod }: World, number: number): number {
  for (const service of services) {
    const selector = Object.entries(fields(service, 'spec', 'selector'))
    if (text(service, 'metadata', 'namespace') !== pod.namespace || selector.length === 0) continue
    if (!selector.every(([key, value]) => pod.labels[key] === value)) continue
    const port = list(service, 'spec', 'ports').find((each) => at(each, 'port') === number)
    if (port !== undefined) return Number(at(port, 'targetPort') ?? number)
  }
  return number
}
