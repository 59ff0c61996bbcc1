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
  /** The address it binds to; none is all. */
  readonly bind: string
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
function isTls({ protocol }: Server): boolean {
  return protocol === 'HTTPS' || protocol === 'TLS'
}

const plainProtocols = ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY']

/** Does the server speak HTTP in the clear? What speaks neither TLS nor HTTP has its port for itself. */
export function isPlain({ protocol }: Server): boolean {
  return plainProtocols.includes(protocol)
}

/** The servers of one port of the pod and one address, none being all: those of TLS, and those in the clear. */
export type PortServers = {
  readonly port: number
  readonly address: string
  readonly tls: readonly Server[]
  readonly clear: readonly Server[]
}

/** The servers of all Gateways that select the pod, by port and address, oldest Gateway first, as istiod merges
 *  them (pilot/pkg/model/gateway.go, mergeGateways): a later TLS server that repeats a host is dropped whole;
 *  what is in the clear goes beside TLS that came before it, and lets in only HTTP beside HTTP, and no TLS,
 *  after it. */
export function serversByPort(world: World, remarks: string[]): readonly PortServers[] {
  const ports = new Map<string, { port: number; address: string; tls: Server[]; clear: Server[] }>()
  const taken = new Set<string>()
  for (const server of serversOf(world)) {
    const port = podPort(world, server.number)
    const address = ['0.0.0.0', '::'].includes(server.bind) ? '' : server.bind
    const key = `${address}:${port}`
    const found = ports.get(key) ?? { port, address, tls: [], clear: [] }
    ports.set(key, found)
    const skipped = `skipping server ${server.portName} of ${server.gateway}`
    const keyOf = (host: string) => `${server.bind}:${port} ${host}`
    const repeated = server.hosts.find(({ written }) => taken.has(keyOf(written)))
    if (isTls(server) && repeated) {
      remarks.push(`${skipped}: duplicate host names ${repeated.written}`)
      continue
    }
    if (isTls(server)) for (const { written } of server.hosts) taken.add(keyOf(written))
    const first = found.clear.find(({ bind }) => bind === server.bind)
    if (first && !(isPlain(first) && isPlain(server))) {
      remarks.push(`${skipped}: port ${port} has another protocol already`)
    } else if (isTls(server)) found.tls.push(server)
    else found.clear.push(server)
  }
  return [...ports.values()].filter(({ tls, clear }) => tls.length + clear.length > 0)
}

function serversOf({ gateways, pod }: World): readonly Server[] {
  return gateways.toSorted(byAge).flatMap((gateway) => {
    const wanted = Object.entries(fields(gateway, 'spec', 'selector'))
    if (!wanted.every(([key, value]) => pod.labels[key] === value)) return []
    return list(gateway, 'spec', 'servers')
      .filter(isFields)
      .map((each) => serverOf(gateway, each))
  })
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
    bind: text(server, 'bind'),
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
