import Type from 'typebox'
import Value from 'typebox/value'
import type { KubeObject } from '../clusters/kube.ts'
import type { CompleteSpec } from '../hosts/host.ts'
import { routes } from '../hosts/hostname.ts'

/** What of a cluster decides who is served: the labels of the ingress pods, and the Gateways and
 *  VirtualServices that others made. */
export type Neighbours = {
  readonly pods: readonly Readonly<Record<string, string>>[]
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

/** Why a host cannot be put beside what is there: Istio would drop one of the two without a word, or
 *  refuse the whole listener (istio.md 2.2). A wildcard beside an exact name is fine, since the closest
 *  name is served; but where a client certificate is demanded under it, whoever is connected to the
 *  wildcard could ask for the name without one (hosts/clients.ts). Each sentence names the object in the
 *  way. */
export function collisions(
  { name, spec }: { readonly name: string; readonly spec: CompleteSpec },
  neighbours: Neighbours,
): readonly string[] {
  const gateways = neighbours.gateways.filter((each) => selects(each, neighbours.pods))
  const bound = new Set(gateways.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`))
  return [
    ...gateways.flatMap((gateway) => gatewayCollisions(name, spec, gateway)),
    ...neighbours.virtualServices.flatMap((service) => serviceCollisions(name, service, bound)),
  ]
}

/** A Gateway without a selector applies to every gateway pod. */
function selects(gateway: KubeObject, pods: Neighbours['pods']): boolean {
  const { selector = {} } = specOf(GatewaySpec, gateway)
  const wanted = Object.entries(selector)
  return pods.some((pod) => wanted.every(([key, value]) => pod[key] === value))
}

function gatewayCollisions(
  name: string,
  spec: CompleteSpec,
  gateway: KubeObject,
): readonly string[] {
  const what = `Gateway ${gateway.metadata.namespace}/${gateway.metadata.name}`
  const { servers = [] } = specOf(GatewaySpec, gateway)
  const found = servers.flatMap(({ port, hosts = [], tls }) => {
    const secure = ['HTTPS', 'TLS'].includes(port.protocol.toUpperCase())
    if (port.number === 443 && !secure) {
      return [`${what} speaks ${port.protocol} on port 443, where no TLS can be served beside it`]
    }
    if (port.number === 80 && secure && spec.http !== 'off') {
      return [`${what} speaks ${port.protocol} on port 80, where no plain HTTP can be served`]
    }
    const open =
      port.number === 443 && hosts.find((each) => leadsOn(name, spec, { name: dnsName(each), tls }))
    if (open) {
      return [
        `${what} serves ${open}: who is connected to one could ask for the other without the client certificate that is demanded there`,
      ]
    }
    const ports = spec.http === 'off' ? [443] : [443, 80]
    return ports.includes(port.number) && hosts.map(dnsName).includes(name)
      ? [`${what} already serves ${name} on port ${port.number}`]
      : []
  })
  return [...new Set(found)]
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
  name: string,
  service: KubeObject,
  bound: ReadonlySet<string>,
): readonly string[] {
  const { namespace = '' } = service.metadata
  const { hosts = [], gateways = [], tls = [] } = specOf(VirtualServiceSpec, service)
  const refs = gateways.map((ref) => (ref.includes('/') ? ref : `${namespace}/${ref}`))
  if (!refs.some((ref) => bound.has(ref))) return []
  const what = `VirtualService ${namespace}/${service.metadata.name}`
  const sni = tls.flatMap(({ match = [] }) => match.flatMap(({ sniHosts = [] }) => sniHosts))
  if (hosts.map(dnsName).includes(name)) return [`${what} already routes ${name}`]
  // Under a PASSTHROUGH wildcard: two filter chains for one SNI, and Envoy refuses the listener.
  return sni.map(dnsName).includes(name) ? [`${what} already takes the SNI ${name}`] : []
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
