import Type from 'typebox'
import { includesLabels, type KubeObject } from '../../clusters/kubernetes/kube.ts'
import { conforms } from '../../shared/shape.ts'

/** What of a cluster decides who is served: the labels and addresses of the ingress pods, the Services that
 *  lead to them, and Gateways and VirtualServices. */
export type World = {
  readonly namespace: string
  readonly pods: readonly Readonly<Record<string, string>>[]
  readonly services: readonly KubeObject[]
  readonly gateways: readonly KubeObject[]
  readonly virtualServices: readonly KubeObject[]
}

/** A host of a server: as Istio compares it, `ns/Name` or `Name`; which namespaces' VirtualServices may bind
 *  to it; and its name in lower case. */
type ServerHost = { readonly written: string; readonly from: string; readonly name: string }

/** One server of a Gateway before the ingress, on the port of a pod. */
export type Server = {
  readonly gateway: KubeObject
  /** The pod's port. */
  readonly port: number
  /** The Gateway's number for it. */
  readonly number: number
  readonly protocol: string
  readonly bind: string
  readonly hosts: readonly ServerHost[]
  readonly mode: string
  readonly credential: string | undefined
  readonly redirects: boolean
  /** The VirtualServices that may bind to it, the first ones first. */
  readonly bound: readonly Bound[]
}

/** A VirtualService at a server, with the names that both speak of. */
export type Bound = { readonly object: KubeObject; readonly names: readonly string[] }

/** A server that Istio leaves out, since another was there before. */
export type Dropped = {
  readonly server: Server
  readonly by: Server
  readonly why: 'host' | 'protocol'
}

/** Two that would answer for one name over TLS: Envoy refuses the listener. */
export type Clash = { readonly name: string; readonly one: Server; readonly other: Server }

/** What istiod makes of all servers on one port of the pods, and one address. */
export type Listener = {
  readonly port: number
  readonly bind: string
  readonly tls: readonly Server[]
  /** In the clear; one that speaks no HTTP is there alone. */
  readonly plain: readonly Server[]
  readonly dropped: readonly Dropped[]
  readonly clashes: readonly Clash[]
}

/** Fields as far as they matter here; what others wrote may be anything. */
const Text = Type.String()
const GatewaySpec = Type.Object({
  selector: Type.Optional(Type.Record(Text, Text)),
  servers: Type.Optional(
    Type.Array(
      Type.Object({
        port: Type.Object({ number: Type.Integer(), protocol: Text }),
        bind: Type.Optional(Text),
        hosts: Type.Optional(Type.Array(Text)),
        tls: Type.Optional(
          Type.Object({
            mode: Type.Optional(Text),
            credentialName: Type.Optional(Text),
            httpsRedirect: Type.Optional(Type.Boolean()),
          }),
        ),
      }),
    ),
  ),
})
const Aged = Type.Object({ creationTimestamp: Text })
const ServiceSpec = Type.Object({
  selector: Type.Optional(Type.Record(Text, Text)),
  ports: Type.Optional(
    Type.Array(
      Type.Object({
        port: Type.Integer(),
        targetPort: Type.Optional(Type.Union([Type.Integer(), Text])),
      }),
    ),
  ),
})
const VirtualServiceSpec = Type.Object({
  hosts: Type.Optional(Type.Array(Text)),
  gateways: Type.Optional(Type.Array(Text)),
  exportTo: Type.Optional(Type.Array(Text)),
  http: Type.Optional(Type.Array(Type.Unknown())),
  tcp: Type.Optional(Type.Array(Type.Unknown())),
  tls: Type.Optional(
    Type.Array(
      Type.Object({
        match: Type.Optional(
          Type.Array(Type.Object({ sniHosts: Type.Optional(Type.Array(Text)) })),
        ),
      }),
    ),
  ),
})

/** Whether Istio reads `a` before `b`: by age, of one second by name, then by namespace. Who is without
 *  an age comes first. */
export function precedes(a: KubeObject, b: KubeObject): boolean {
  return ageOf(a) < ageOf(b)
}

function ageOf(object: KubeObject): string {
  const { name, namespace = '' } = object.metadata
  return [creationOf(object), name, namespace].join(' ')
}

/** When it was made, as the API server writes it; nothing where that is not known. */
export function creationOf({ metadata }: KubeObject): string {
  return conforms(Aged, metadata) ? metadata.creationTimestamp : ''
}

/** The object as if it had been made then. */
export function madeAt(object: KubeObject, creationTimestamp: string): KubeObject {
  return { ...object, metadata: Object.assign({ creationTimestamp }, object.metadata) }
}

function byAge(a: KubeObject, b: KubeObject): number {
  return precedes(a, b) ? -1 : 1
}

/** The listeners of the ingress pods, as istiod puts them together of all Gateways that select them (istio.md
 *  2.1, 2.2; tried against Istio 1.31 and Envoy 1.40). */
export function listeners(world: World): readonly Listener[] {
  const all = serversOf(world)
  const groups = Map.groupBy(all, (server) => `${server.port} ${addressOf(server)}`)
  return [...groups.values()].map(listenerOf)
}

/** The address that is listened at; none: all. */
function addressOf({ bind }: Server): string {
  return bind === '0.0.0.0' || bind === '::' ? '' : bind
}

/** Every server before the pods, in Istio's order. */
function serversOf(world: World): readonly Server[] {
  const reach = podPorts(world)
  const services = world.virtualServices
    .map((object) => ({ object, rank: visibility(object, world.namespace) }))
    .filter(({ rank }) => rank < 3)
    .toSorted((a, b) => a.rank - b.rank || byAge(a.object, b.object))
    .map(({ object }) => object)
  const bindings = bindingsOf(services)
  return world.gateways
    .filter((gateway) => selects(gateway, world.pods))
    .toSorted(byAge)
    .flatMap((gateway) => {
      const { namespace = '' } = gateway.metadata
      const near = bindings.get(referenceTo(gateway)) ?? []
      const { servers = [] } = readSpec(GatewaySpec, gateway)
      return servers.map(({ port: { number, protocol }, bind = '', hosts = [], tls = {} }) => {
        const own = serverHosts(hosts, namespace)
        return {
          ...{ gateway, number, hosts: own, bind, port: reach(number) },
          protocol: protocol.toUpperCase(),
          mode: tls.mode ?? 'PASSTHROUGH',
          credential: tls.credentialName,
          redirects: tls.httpsRedirect === true,
          bound: near.flatMap((object) => {
            const names = sharedNames(own, object)
            return names.length > 0 ? [{ object, names }] : []
          }),
        }
      })
    })
}

/** How VirtualServices name a Gateway; one that Istio makes of something else has a name that nobody writes. */
export function referenceTo({ apiVersion, kind, metadata }: KubeObject): string {
  const { namespace = '', name } = metadata
  const own = `${namespace}/${name}`
  return apiVersion.startsWith('networking.istio.io/') ? own : `${own}~${apiVersion}~${kind}`
}

/** The VirtualServices of each Gateway, by its reference. */
function bindingsOf(services: readonly KubeObject[]): ReadonlyMap<string, readonly KubeObject[]> {
  const found = new Map<string, KubeObject[]>()
  for (const object of services) {
    const { namespace = '' } = object.metadata
    const { gateways = [] } = readSpec(VirtualServiceSpec, object)
    const refs = gateways.map((ref) => (ref.includes('/') ? ref : `${namespace}/${ref}`))
    for (const ref of new Set(refs)) found.set(ref, [...(found.get(ref) ?? []), object])
  }
  return found
}

/** To whom a VirtualService is shown: to the namespace of the pods alone, to it among others, to all, or (3)
 *  not to it; those first that are for fewer. */
function visibility(object: KubeObject, podNamespace: string): number {
  const { namespace = '' } = object.metadata
  const { exportTo = [] } = readSpec(VirtualServiceSpec, object)
  const to = exportTo.map((each) => (each === '.' ? namespace : each))
  if (to.length === 0 || to.includes('*')) return 2
  if (!to.includes(podNamespace)) return 3
  return to.length === 1 ? 0 : 1
}

function serverHosts(hosts: readonly string[], namespace: string): readonly ServerHost[] {
  const all = hosts.includes('*/*') ? ['*'] : hosts
  return all.map((host) => {
    const slash = host.indexOf('/')
    const given = slash < 0 ? '*' : host.slice(0, slash)
    const dnsName = host.slice(slash + 1)
    const from = given === '.' ? namespace : given
    const written = from === '*' ? dnsName : `${from}/${dnsName}`
    return { written, from, name: dnsName.toLowerCase() }
  })
}

function sharedNames(hosts: readonly ServerHost[], service: KubeObject): readonly string[] {
  const { namespace = '' } = service.metadata
  const { hosts: names = [] } = readSpec(VirtualServiceSpec, service)
  const open = hosts.filter(({ from }) => from === '*' || from === namespace)
  const found = open.flatMap(({ name }) =>
    names.flatMap((each) => {
      const other = each.toLowerCase()
      if (takesIn(name, other)) return [other]
      return takesIn(other, name) ? [name] : []
    }),
  )
  return [...new Set(found)]
}

/** Whether the pattern takes in the other one. */
export function takesIn(wide: string, name: string): boolean {
  return wide === '*' || wide === name || (wide.startsWith('*.') && name.endsWith(wide.slice(1)))
}

/** A Gateway without a selector applies to every gateway pod. */
function selects(gateway: KubeObject, pods: World['pods']): boolean {
  const { selector = {} } = readSpec(GatewaySpec, gateway)
  return pods.some((pod) => includesLabels(pod, selector))
}

/** The pod's port for the number of a server: the target of the first Service that selects the pod and
 *  has this port, else the number itself. Two numbers with one target are one listener. */
export function podPorts({ services, pods }: Pick<World, 'services' | 'pods'>) {
  const ports = services
    .filter((service) => leadsTo(service, pods))
    .flatMap((service) => readSpec(ServiceSpec, service).ports ?? [])
  return (number: number): number => {
    const target = ports.find(({ port }) => port === number)?.targetPort
    return typeof target === 'number' ? target : number
  }
}

/** Whether a Service leads to one of the pods. */
export function leadsTo(service: KubeObject, pods: World['pods']): boolean {
  const { selector = {} } = readSpec(ServiceSpec, service)
  return Object.keys(selector).length > 0 && pods.some((pod) => includesLabels(pod, selector))
}

/** Whether TLS is spoken to clients; else what is spoken is in the clear. */
export function isTls({ protocol }: Server): boolean {
  return protocol === 'HTTPS' || protocol === 'TLS'
}

/** Whether HTTP is spoken in the clear. */
export function isHttp({ protocol }: Server): boolean {
  return ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY'].includes(protocol)
}

/** Whether TLS ends somewhere behind the ingress. */
export function passes(server: Server): boolean {
  return isTls(server) && ['PASSTHROUGH', 'AUTO_PASSTHROUGH'].includes(server.mode)
}

function listenerOf(servers: readonly Server[]): Listener {
  const [sample] = servers
  const { port, bind } = sample ? { port: sample.port, bind: addressOf(sample) } : nowhere
  const known = new Map<string, Server>()
  const [tls, plain]: [Server[], Server[]] = [[], []]
  const dropped: Dropped[] = []
  for (const server of servers) {
    // Who repeats a host of another server, letter by letter, is left out with all its hosts.
    const twin = isTls(server)
      ? server.hosts.map((host) => known.get(keyOf(server, host))).find((each) => each)
      : undefined
    if (twin) {
      dropped.push({ server, by: twin, why: 'host' })
      continue
    }
    if (isTls(server)) for (const host of server.hosts) known.set(keyOf(server, host), server)
    const first = plain.find(({ bind: at }) => at === server.bind)
    // What is in the clear goes beside what has come before it in TLS, and lets in none after it.
    if (first && !(isHttp(first) && isHttp(server))) {
      dropped.push({ server, by: first, why: 'protocol' })
    } else if (isTls(server)) tls.push(server)
    else plain.push(server)
  }
  return { port, bind, tls, plain, dropped, clashes: [...clashesOf(tls), ...plainClashes(plain)] }
}

const nowhere = { port: 0, bind: '' }

/** Two ways to say all addresses are not held against each other by Istio, only by Envoy. */
function keyOf({ bind: at }: Server, { written }: ServerHost): string {
  return `${at} ${written}`
}

/** A name is asked for by SNI, in any letters. Of two VirtualServices that pass a name through the first has
 *  it; all else that answers for one name twice is refused by Envoy. */
function clashesOf(servers: readonly Server[]): readonly Clash[] {
  const clashes: Clash[] = []
  const known = new Map<string, Server>()
  for (const server of servers) {
    for (const name of new Set(sniOf(server))) {
      const one = known.get(name)
      if (!one) known.set(name, server)
      else if (!(passes(one) && passes(server))) clashes.push({ name, one, other: server })
    }
  }
  return clashes
}

/** What is in the clear takes in everything, so that two ways to say all addresses are two of one. */
function plainClashes(servers: readonly Server[]): readonly Clash[] {
  const [one] = servers
  const other = servers.find(({ bind }) => bind !== one?.bind)
  return one && other ? [{ name: 'all that is plain HTTP', one, other }] : []
}

/** The server names that have a filter chain. */
export function sniOf(server: Server): readonly string[] {
  if (server.mode === 'AUTO_PASSTHROUGH') return []
  if (!passes(server)) {
    // What is in the TLS is not HTTP: without somewhere to lead to there is no chain.
    const leads = ({ object }: Bound) => (readSpec(VirtualServiceSpec, object).tcp ?? []).length > 0
    if (server.protocol === 'TLS' && !server.bound.some(leads)) return []
    const names = server.hosts.map(({ name }) => name)
    return names.includes('*') ? ['*'] : names
  }
  return server.bound.flatMap(({ object }) =>
    sniHosts(object).filter((name) => server.hosts.some((host) => takesIn(host.name, name))),
  )
}

/** Whether a VirtualService says something to a server that it is bound to. */
export function tells(server: Server, { object }: Bound): boolean {
  if (passes(server)) return sniHosts(object).length > 0
  return (readSpec(VirtualServiceSpec, object).http ?? []).length > 0
}

/** The names that a VirtualService passes through. */
function sniHosts(service: KubeObject): readonly string[] {
  const { tls = [] } = readSpec(VirtualServiceSpec, service)
  return tls
    .flatMap(({ match = [] }) => match.flatMap((each) => each.sniHosts ?? []))
    .map((name) => name.toLowerCase())
}

/** The spec of an object as it is read here. Istio would not read what does not fit; nor do we. */
export function readSpec<T extends Type.TSchema>(
  schema: T,
  { spec }: { readonly spec?: unknown },
): Partial<Type.Static<T>> {
  return conforms(schema, spec) ? spec : {}
}
