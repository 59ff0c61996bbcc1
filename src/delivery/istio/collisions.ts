import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { CompleteSpec } from '../../hosts/host.ts'
import { coversName } from '../../hosts/request/hostname.ts'
import type { Collision } from '../renderer.ts'
import {
  isHttp,
  type Listener,
  listeners,
  passes,
  podPorts,
  type Server,
  sniOf,
  takesIn,
  tells,
  type World,
} from './merge.ts'

/** What of a cluster decides who is served beside our own hosts; `addresses` are those of the ingress pods. */
export type Neighbours = World & { readonly addresses: readonly string[] }

/** A host as it is to be before the ingress: all its names, and its objects, with the age that they have or
 *  will have. */
export type Candidate = {
  readonly names: readonly string[]
  readonly spec: Pick<CompleteSpec, 'tls' | 'http'>
  /** Port 80 is to answer a CA elsewhere, whatever else it does. */
  readonly challenged?: boolean
  readonly gateway: KubeObject
  readonly virtualService: KubeObject
}

/** What of others is in the way of a host, or beside it: Istio would drop one of the two without a word, or
 *  Envoy refuse the whole listener (istio.md 2.2). `blocks`: nothing is to be pushed; `wins`: it takes
 *  something from the host, which is then not served as asked for. A wildcard beside an exact name is
 *  fine, since the closest name is served; but where a client certificate is demanded under it, whoever is
 *  connected to the wildcard could ask for the name without one (hosts/clients.ts). */
export function collisions(asked: Candidate, neighbours: Neighbours): readonly Collision[] {
  const reach = podPorts(neighbours)
  const ports = { tls: reach(443), plain: reach(80) }
  const all = listeners({
    ...neighbours,
    gateways: [...neighbours.gateways, asked.gateway],
    virtualServices: [...neighbours.virtualServices, asked.virtualService],
  })
  const found = all.flatMap((listener) => {
    if (listener.port !== ports.tls && listener.port !== ports.plain) return []
    const where = listener.port === ports.tls ? 443 : 80
    const question = { asked, listener, where } as const
    if (listener.bind !== '') return elsewhere(question, neighbours)
    return where === 443 ? overTls(question) : inTheClear(question)
  })
  const shared = credentials(asked, all)
  const once = new Map([...found, ...shared].map((each) => [each.message, each]))
  return [...once.values()].slice(0, mostTold)
}

const mostTold = 50

type Question = {
  readonly asked: Candidate
  readonly listener: Listener
  /** Whose port it is: that of TLS, or that of plain HTTP. */
  readonly where: 443 | 80
}

function stops(message: string): Collision {
  return { message, blocks: true, wins: true }
}

function risk(message: string): Collision {
  return { message, blocks: false, wins: false }
}

function overTls(question: Question): readonly Collision[] {
  const { asked, listener } = question
  const ours = listener.tls.find((server) => isOurs(asked, server))
  const [inClear] = listener.plain
  return [
    ...leftOut(question),
    ...clashing(question),
    ...(ours ? passedBoth(asked, ours, listener) : []),
    ...(ours ? boundToOurs(asked, ours) : []),
    ...(ours && inClear
      ? [
          risk(
            `${what(inClear)} speaks ${inClear.protocol} on ${place(inClear, 443)}: no TLS is served there for whoever comes after it`,
          ),
        ]
      : []),
    ...listener.tls
      .filter((server) => !isOurs(asked, server))
      .flatMap((server) => open(asked, server)),
  ]
}

/** Who came later is left out, be it we or they. */
function leftOut({ asked, listener, where }: Question): readonly Collision[] {
  return listener.dropped.flatMap(({ server, by, why }) => {
    if (isOurs(asked, server)) {
      const name = asked.names.find((each) => by.hosts.some((host) => host.name === each))
      return [
        stops(
          why === 'host'
            ? `${what(by)} already serves ${name} on ${place(by, where)}: Istio leaves out who comes later`
            : where === 443
              ? `${what(by)} speaks ${by.protocol} on ${place(by, where)}, where no TLS can be served beside it`
              : `${what(by)} speaks ${by.protocol} on ${place(by, where)}, where no plain HTTP can be served`,
        ),
      ]
    }
    if (!isOurs(asked, by)) return []
    return [
      risk(
        `${what(server)} came later and is left out on ${place(server, where)}, with all the hosts of that server: ${server.hosts
          .map(({ name }) => name)
          .slice(0, 10)
          .join(', ')}`,
      ),
    ]
  })
}

function clashing({ asked, listener, where }: Question): readonly Collision[] {
  return listener.clashes.map(({ name, one, other }) => {
    const refused =
      'Envoy refuses the whole listener, and serves nothing there that is new or changed'
    const theirs = isOurs(asked, one) ? other : isOurs(asked, other) ? one : undefined
    return theirs
      ? stops(`${what(theirs)} already serves ${name} on ${place(theirs, where)}, too: ${refused}`)
      : {
          message: `${what(one)} and ${what(other)} both serve ${name} on port ${where}: ${refused}`,
          blocks: true,
          wins: false,
        }
  })
}

/** Of two that pass one name through, the first has it. */
function passedBoth(asked: Candidate, ours: Server, { tls }: Listener): readonly Collision[] {
  if (!passes(ours)) return []
  const place = tls.indexOf(ours)
  return tls.flatMap((server, index) => {
    if (server === ours || !passes(server)) return []
    const name = sniOf(server).find((each) => asked.names.includes(each))
    if (name === undefined) return []
    const services = server.bound.filter(({ names }) => names.includes(name)).map(service)
    const by = services[0] ?? what(server)
    return index < place
      ? [stops(`${by} already takes the SNI ${name}`)]
      : [risk(`${by} takes the SNI ${name} as well; it came later and gets nothing`)]
  })
}

/** The routes of all who are bound to a server become one list, in the order of their age. */
function boundToOurs(asked: Candidate, ours: Server): readonly Collision[] {
  return ours.bound
    .filter((bound) => bound.object !== asked.virtualService && tells(ours, bound))
    .map((bound) =>
      stops(`${service(bound)} is bound to the Gateway of ${asked.names[0]} and adds its routes`),
    )
}

/** Whom others trust is not known here: no wildcard goes with a MUTUAL host under it, in either way. */
function open(asked: Candidate, server: Server): readonly Collision[] {
  const demanded = server.mode.endsWith('MUTUAL')
  const host = server.hosts.find(({ name: other }) =>
    asked.names.some((name) => {
      if (other === name) return false
      const over = other === '*' || coversName(other, name)
      return (over && asked.spec.tls.mode === 'MUTUAL') || (coversName(name, other) && demanded)
    }),
  )
  if (!host) return []
  return [
    {
      message: `${what(server)} serves ${host.name}: who is connected to one could ask for the other without the client certificate that is demanded there`,
      blocks: true,
      wins: false,
    },
  ]
}

function inTheClear(question: Question): readonly Collision[] {
  const { asked, listener } = question
  const ours = listener.plain.find((server) => isOurs(asked, server))
  const others = listener.plain.filter((server) => !isOurs(asked, server))
  return [
    ...leftOut(question),
    ...clashing(question),
    ...(ours ? boundToOurs(asked, ours) : []),
    ...others.flatMap((server) => sharing(asked, server)),
  ]
}

/** All HTTP servers of a port are one list of hosts, and all routes of a host one list. */
function sharing(asked: Candidate, server: Server): readonly Collision[] {
  if (!isHttp(server)) return []
  const { names, spec } = asked
  const found = beside(asked, server)
  const hidden = server.hosts.find(({ name }) => names.includes(name))
  if (!asked.challenged || !hidden || !server.redirects || spec.http === 'serve') return found
  return [
    ...found,
    risk(
      `${what(server)} redirects the plain HTTP of ${hidden.name}: a CA elsewhere that looks for a challenge is redirected, too`,
    ),
  ]
}

function beside({ names, spec }: Candidate, server: Server): readonly Collision[] {
  if (spec.http === 'off') {
    const bound = server.bound.find(
      (each) =>
        tells(server, each) && each.names.some((wide) => names.some((name) => takesIn(wide, name))),
    )
    if (!bound) return []
    return [risk(`Port 80 is off for ${names[0]}, and ${service(bound)} answers for it there`)]
  }
  const redirected = server.hosts.find(({ name }) => names.includes(name))
  const joined = server.bound.filter(
    (each) => tells(server, each) && each.names.some((name) => names.includes(name)),
  )
  return [
    ...(redirected && server.redirects && spec.http === 'serve'
      ? [stops(`${what(server)} redirects the plain HTTP of ${redirected.name}`)]
      : []),
    ...joined.map((bound) =>
      spec.http === 'serve'
        ? stops(
            `${service(bound)} already routes ${names[0]} on port 80, and its routes come among those of the host`,
          )
        : risk(`${service(bound)} routes ${names[0]} on port 80 as well, where all is redirected`),
    ),
  ]
}

/** A server that binds to an address takes all that comes in by it, whatever its hosts. */
function elsewhere(
  { asked, listener: { bind, tls, plain }, where }: Question,
  { addresses }: Neighbours,
): readonly Collision[] {
  const [server] = [...tls, ...plain]
  if (!server || bind.startsWith('unix:')) return []
  if (where === 80 && asked.spec.http === 'off') return []
  const told = `${what(server)} binds ${place(server, where)} at ${bind}`
  return addresses.includes(bind)
    ? [
        stops(
          `${told}, an address of the ingress: whoever comes in by it does not get to ${asked.names[0]}`,
        ),
      ]
    : [risk(`${told}: whoever comes in by that address does not get to ${asked.names[0]}`)]
}

/** IST0138: over HTTP/2 a client asks for one host over a connection that it has for the other. */
function credentials(asked: Candidate, all: readonly Listener[]): readonly Collision[] {
  const servers = all.flatMap(({ tls }) => tls)
  const own = servers.find((server) => isOurs(asked, server))?.credential
  if (own === undefined) return []
  return servers
    .filter((server) => !isOurs(asked, server) && server.credential === own)
    .map((server) =>
      risk(
        `${what(server)} serves with the certificate of ${asked.names[0]}: browsers may ask for one over a connection that they have for the other, and get 404 (IST0138)`,
      ),
    )
}

function isOurs({ gateway }: Candidate, server: Server): boolean {
  return server.gateway === gateway
}

/** `Gateway ns/name`, and why it is here at all where it names no labels. */
function what({ gateway: { kind, metadata, spec } }: Server): string {
  const { namespace, name } = metadata
  const all = spec?.selector === undefined ? ' (without a selector, so at every ingress)' : ''
  return `${kind} ${namespace}/${name}${all}`
}

function service({ object }: { readonly object: KubeObject }): string {
  const { kind, metadata } = object
  return `${kind} ${metadata.namespace}/${metadata.name}`
}

function place({ number }: Server, where: 443 | 80): string {
  return number === where ? `port ${where}` : `port ${number}, which is that of ${where}`
}
