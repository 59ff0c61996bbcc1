import { bestMatch, covers } from '../hostname.ts'
import { list, text, texts } from '../json.ts'
import { type Bindings, bindingsOf, bound } from './bindings.ts'
import { type Destination, destinationsOf, inOrder, isFor, type Route, routesOf } from './routes.ts'
import { isPlain, type PortServers, type Server, serversByPort, type World } from './servers.ts'

/** The routes of each host name of an HTTP server; `redirect` sends its plain requests to https. */
export type VirtualHosts = ReadonlyMap<
  string,
  { readonly redirect: boolean; readonly routes: readonly Route[] }
>

/** How a terminated connection is secured: the fields of a Gateway server's tls. */
export type Termination = {
  readonly mode: 'SIMPLE' | 'MUTUAL' | 'OPTIONAL_MUTUAL'
  readonly credential: string
  readonly minVersion: string
  readonly maxVersion: string
  readonly subjectAltNames: readonly string[]
}

/** TLS ends here; the requests are routed under `name`. */
export type TerminatedChain = {
  readonly name: string
  readonly termination: Termination
  readonly hosts: VirtualHosts
}

/** What happens to a connection of one server name: terminated, or passed on. */
export type Chain = TerminatedChain | { readonly to: Destination }

/** One port of the gateway pod: TLS with a chain for each SNI pattern and perhaps something in the clear
 *  beside it, which gets all that no chain takes; plain HTTP; or octets that nobody takes, since the
 *  sandbox has no TCP routes. */
export type Listener =
  | { readonly tcp: true }
  | { readonly tls: ReadonlyMap<string, Chain>; readonly clear?: VirtualHosts | 'tcp' }
  | { readonly plain: VirtualHosts }

/** What the gateway's configuration comes to: a listener by pod port, and what was left out and why. A
 *  port in `rejected` has two chains for the SNI there, or '' for all that is in the clear: Envoy refuses such a
 *  listener and keeps the last one. */
export type Listeners = {
  readonly ports: ReadonlyMap<number, Listener>
  /** Those of one address, `address:port`: what comes in there goes to no other. */
  readonly bound: ReadonlyMap<string, Listener>
  readonly rejected: ReadonlyMap<number, string>
  readonly remarks: readonly string[]
}

/** The listeners of the gateway pod, as istiod would push them to it. */
export function listenersOf(world: World): Listeners {
  const ports = new Map<number, Listener>()
  const bound = new Map<string, Listener>()
  const rejected = new Map<number, string>()
  const remarks: string[] = []
  const bindings = bindingsOf(world)
  for (const servers of serversByPort(world, remarks)) {
    const { port, address } = servers
    const listener = listenerOf(servers, bindings, remarks)
    if ('twice' in listener) rejected.set(port, listener.twice)
    else if (address === '') ports.set(port, listener)
    else bound.set(`${address}:${port}`, listener)
  }
  return { ports, bound, rejected, remarks }
}

/** Or what it has two ways to go for, which Envoy would refuse. */
function listenerOf(
  { port, tls, clear }: PortServers,
  bindings: Bindings,
  remarks: string[],
): Listener | { readonly twice: string } {
  if (new Set(clear.map(({ bind }) => bind)).size > 1) {
    remarks.push(`listener rejected: port ${port} has two chains for all that is in the clear`)
    return { twice: '' }
  }
  const plain = clear.filter(isPlain)
  const [taker] = clear.filter((server) => !isPlain(server))
  if (taker) remarks.push(`port ${port} is taken by ${taker.gateway} for ${taker.protocol}`)
  if (tls.length === 0) return taker ? { tcp: true } : { plain: mergedHosts(plain, bindings) }
  const chains = chainsOf(tls, bindings, remarks)
  if ('twice' in chains) return { twice: chains.twice }
  if (clear.length === 0) return { tls: chains }
  return { tls: chains, clear: taker ? 'tcp' : mergedHosts(plain, bindings) }
}

function mergedHosts(servers: readonly Server[], bindings: Bindings): VirtualHosts {
  const hosts = new Map<string, { redirect: boolean; routes: Route[] }>()
  for (const server of servers) {
    const redirect = server.tls.httpsRedirect === true
    if (redirect) {
      for (const { name } of server.hosts) {
        const own = hosts.get(name.toLowerCase()) ?? { redirect, routes: [] }
        hosts.set(name.toLowerCase(), { ...own, redirect })
      }
    }
    for (const { virtualService, names } of bound(server, bindings)) {
      const routes = routesOf(virtualService, server.number, server.gateway)
      for (const name of names) {
        const own = hosts.get(name) ?? { redirect, routes: [] }
        hosts.set(name, { redirect: own.redirect || redirect, routes: [...own.routes, ...routes] })
      }
    }
  }
  return new Map(
    [...hosts].map(([name, host]) => [name, { ...host, routes: inOrder(host.routes) }]),
  )
}

/** The chains of a TLS port, or the SNI that two of them would answer to. */
function chainsOf(
  servers: readonly Server[],
  bindings: Bindings,
  remarks: string[],
): ReadonlyMap<string, Chain> | { readonly twice: string } {
  const chains = new Map<string, Chain>()
  for (const server of servers) {
    const mode = text(server.tls, 'mode') || 'PASSTHROUGH'
    const terminated = mode === 'SIMPLE' || mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL'
    if (!terminated && mode !== 'PASSTHROUGH') {
      remarks.push(
        `server ${server.portName} of ${server.gateway}: the sandbox has no TLS mode ${mode}`,
      )
      continue
    }
    const found = terminated
      ? terminatedChains(server, mode, bindings)
      : passedChains(server, bindings)
    for (const [sni, chain] of found) {
      const before = chains.get(sni)
      if (before && 'to' in before && 'to' in chain) {
        remarks.push(
          `skipping VirtualService rule on ${server.gateway}: duplicate SNI host name ${sni}`,
        )
      } else if (before) {
        remarks.push(
          `listener rejected: multiple filter chains for server name ${sni}; the last accepted one stays`,
        )
        return { twice: sni }
      } else chains.set(sni, chain)
    }
  }
  return chains
}

function terminatedChains(
  server: Server,
  mode: Termination['mode'],
  bindings: Bindings,
): readonly (readonly [string, Chain])[] {
  const { tls, gateway, portName, number } = server
  const chain: Chain = {
    name: `https.${number}.${portName}.${gateway.split('/').toReversed().join('.')}`,
    hosts: mergedHosts([{ ...server, tls: {} }], bindings),
    termination: {
      mode,
      credential: text(tls, 'credentialName') || (texts(tls, 'credentialNames')[0] ?? ''),
      minVersion: text(tls, 'minProtocolVersion'),
      maxVersion: text(tls, 'maxProtocolVersion'),
      subjectAltNames: texts(tls, 'subjectAltNames'),
    },
  }
  const names = new Set(server.hosts.map(({ name }) => name.toLowerCase()))
  return [...(names.has('*') ? ['*'] : names)].map((name) => [name, chain] as const)
}

/** Passing through takes VirtualService tls routes; without one the server has no chain at all. */
function passedChains(server: Server, bindings: Bindings): readonly (readonly [string, Chain])[] {
  return bound(server, bindings).flatMap(({ virtualService }) => {
    const namespace = text(virtualService, 'metadata', 'namespace')
    return list(virtualService, 'spec', 'tls').flatMap((route) => {
      const [heaviest] = destinationsOf(list(route, 'route'), namespace).toSorted(
        (a, b) => b.weight - a.weight,
      )
      const to = heaviest?.to
      const matches = list(route, 'match').filter((each) =>
        isFor(each, server.number, server.gateway, namespace),
      )
      const names = matches.flatMap((match) => texts(match, 'sniHosts'))
      const admitted = names.filter((name) => server.hosts.some((host) => covers(host.name, name)))
      return to ? admitted.map((name) => [name.toLowerCase(), { to }] as const) : []
    })
  })
}

/** The chain for a server name ('' when the client sent none, which only `*` answers). */
export function chainFor(
  chains: ReadonlyMap<string, Chain>,
  serverName: string,
): Chain | undefined {
  return serverName ? bestMatch(chains, serverName) : chains.get('*')
}
