import Type from 'typebox'
import Value from 'typebox/value'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { CompleteSpec } from '../../hosts/host.ts'
import { routes } from '../../hosts/request/hostname.ts'

/** What of a cluster decides who is served: the labels of the ingress pods, the Services that lead to
 *  them, and the Gateways and VirtualServices that others made. */
export type Neighbours = {
  readonly pods: readonly Readonly<Record<string, string>>[]
  readonly services: readonly KubeObject[]
  readonly gateways: readonly KubeObject[]
  readonly virtualServices: readonly KubeObject[]
}

/** Fields as far as they matter here; what others wrote may be anything. */
const Text = Type.String()
const GatewaySpec = Type.Object({
  selector: Type.Optional(Type.Record(Text, Text)),
  servers: Type.Optional(
    Type.Array(
      Type.Object({
        port: Type.Object({ number: Type.Integer(), protocol: Text }),
        hosts: Type.Optional(Type.Array(Text)),
        tls: Type.Optional(Type.Object({ mode: Type.Optional(Text) })),
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

/** Something of others that is in the way of a host. */
export type Collision = {
  /** A sentence that names the object. */
  readonly message: string
  /** It is about plain HTTP alone. */
  readonly plain: boolean
  readonly object: KubeObject
}

/** Why a host cannot be put beside what is there: Istio would drop one of the two without a word, or
 *  refuse the whole listener (istio.md 2.2). A wildcard beside an exact name is fine, since the closest
 *  name is served; but where a client certificate is demanded under it, whoever is connected to the
 *  wildcard could ask for the name without one (hosts/clients.ts). `own` is `namespace/name` of the
 *  host's Gateway and of its VirtualService. */
export function collisions(
  { name, spec, own }: { readonly name: string; readonly spec: CompleteSpec; readonly own: string },
  neighbours: Neighbours,
): readonly Collision[] {
  const gateways = neighbours.gateways.filter((each) => selects(each, neighbours.pods))
  const bound = new Set(gateways.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`))
  const reach = podPorts(neighbours)
  return [
    ...gateways.flatMap((gateway) => gatewayCollisions({ name, spec, reach }, gateway)),
    ...neighbours.virtualServices.flatMap((object) =>
      serviceCollisions({ name, own, bound }, object).map((message) => ({
        message,
        plain: false,
        object,
      })),
    ),
  ]
}

/** Whether Istio reads `a` before `b`: by age, of one second by name, then by namespace. Who is without
 *  an age comes first. */
export function precedes(a: KubeObject, b: KubeObject): boolean {
  const key = ({ metadata }: KubeObject) => {
    const age = Value.Check(Aged, metadata) ? metadata.creationTimestamp : ''
    return [age, metadata.name, metadata.namespace ?? ''].join(' ')
  }
  return key(a) < key(b)
}

/** A Gateway without a selector applies to every gateway pod. */
function selects(gateway: KubeObject, pods: Neighbours['pods']): boolean {
  const { selector = {} } = specOf(GatewaySpec, gateway)
  return pods.some((pod) => includes(pod, selector))
}

function includes(
  labels: Readonly<Record<string, string>>,
  part: Readonly<Record<string, string>>,
) {
  return Object.entries(part).every(([key, value]) => labels[key] === value)
}

/** The pod's port for the number of a server: the target of the first Service that selects the pod and
 *  has this port, else the number itself. Two numbers with one target are one listener. */
function podPorts({ services, pods }: Neighbours): (number: number) => number {
  const ports = services.flatMap((service) => {
    const { selector = {}, ports = [] } = specOf(ServiceSpec, service)
    const ours = Object.keys(selector).length > 0 && pods.some((pod) => includes(pod, selector))
    return ours ? ports : []
  })
  return (number) => {
    const target = ports.find(({ port }) => port === number)?.targetPort
    return typeof target === 'number' ? target : number
  }
}

type Question = {
  readonly name: string
  readonly spec: CompleteSpec
  readonly reach: (number: number) => number
}

function gatewayCollisions(
  { name, spec, reach }: Question,
  object: KubeObject,
): readonly Collision[] {
  const what = `Gateway ${object.metadata.namespace}/${object.metadata.name}`
  const { servers = [] } = specOf(GatewaySpec, object)
  const found = servers.flatMap(({ port: { number, protocol }, hosts = [], tls }) => {
    const port = [443, 80].find((each) => reach(each) === reach(number))
    const plain = port === 80
    if (port === undefined || (plain && spec.http === 'off')) return []
    const where = port === number ? `port ${port}` : `port ${number}, which is that of ${port}`
    const speaks = familyOf(protocol)
    if (!plain && speaks !== 'TLS') {
      return [
        [`${what} speaks ${protocol} on ${where}, where no TLS can be served beside it`, plain],
      ]
    }
    if (plain && speaks !== 'HTTP') {
      return [[`${what} speaks ${protocol} on ${where}, where no plain HTTP can be served`, plain]]
    }
    const open = !plain && hosts.find((each) => leadsOn(name, spec, { name: dnsName(each), tls }))
    if (open) {
      return [
        [
          `${what} serves ${open}: who is connected to one could ask for the other without the client certificate that is demanded there`,
          plain,
        ],
      ]
    }
    return hosts.map(dnsName).includes(name)
      ? [[`${what} already serves ${name} on ${where}`, plain]]
      : []
  })
  const messages = new Map(found.map(([message, plain]) => [String(message), plain === true]))
  return [...messages].map(([message, plain]) => ({ message, plain, object }))
}

/** The protocols that share a listener; everything else takes its port for itself. */
function familyOf(protocol: string): 'TLS' | 'HTTP' | 'TCP' {
  const upper = protocol.toUpperCase()
  if (['HTTPS', 'TLS'].includes(upper)) return 'TLS'
  return ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY'].includes(upper) ? 'HTTP' : 'TCP'
}

/** Whom others trust is not known here: no wildcard goes with a MUTUAL host under it, in either way. */
function leadsOn(
  name: string,
  spec: CompleteSpec,
  other: { readonly name: string; readonly tls: { readonly mode?: string } | undefined },
): boolean {
  if (other.name === name) return false
  const over = other.name === '*' || routes(other.name, name)
  const demanded = (other.tls?.mode ?? '').endsWith('MUTUAL')
  return (over && spec.tls.mode === 'MUTUAL') || (routes(name, other.name) && demanded)
}

function serviceCollisions(
  {
    name,
    own,
    bound,
  }: { readonly name: string; readonly own: string; readonly bound: ReadonlySet<string> },
  service: KubeObject,
): readonly string[] {
  const { namespace = '' } = service.metadata
  const { hosts = [], gateways = [], tls = [] } = specOf(VirtualServiceSpec, service)
  const refs = gateways.map((ref) => (ref.includes('/') ? ref : `${namespace}/${ref}`))
  const what = `VirtualService ${namespace}/${service.metadata.name}`
  const names = hosts.map(dnsName)
  // At our own Gateway a broader host is routed as well: the routes of both become one list.
  if (refs.includes(own) && names.some((host) => covers(host, name))) {
    return [`${what} is bound to the Gateway of ${name} and adds its routes`]
  }
  if (!refs.some((ref) => bound.has(ref))) return []
  const sni = tls.flatMap(({ match = [] }) => match.flatMap(({ sniHosts = [] }) => sniHosts))
  if (names.includes(name)) return [`${what} already routes ${name}`]
  // Under a PASSTHROUGH wildcard: two filter chains for one SNI, and Envoy refuses the listener.
  return sni.map(dnsName).includes(name) ? [`${what} already takes the SNI ${name}`] : []
}

/** Whether the two patterns have names in common. */
function covers(one: string, other: string): boolean {
  const within = (wide: string, name: string) =>
    wide === '*' || wide === name || (wide.startsWith('*.') && name.endsWith(wide.slice(1)))
  return within(one, other) || within(other, one)
}

/** `ns/Name.` → `name`. */
function dnsName(host: string): string {
  return host
    .slice(host.indexOf('/') + 1)
    .toLowerCase()
    .replace(/\.$/, '')
}

/** Istio would not read what does not fit; nor do we. */
function specOf<T extends Type.TSchema>(schema: T, { spec }: KubeObject): Partial<Type.Static<T>> {
  return Value.Check(schema, spec) ? spec : {}
}
