import {
  type Chain,
  type Listener,
  type Listeners,
  listenersOf,
  type TerminatedChain,
  type VirtualHosts,
} from './listeners.ts'
import type { World } from './servers.ts'

/** What the gateway goes by, read anew from the objects after each change of them. */
export type Configuration = {
  /** The listener of a port of the pod, or the one of that port and an address of it. */
  listener(port: number, address?: string): Listener | undefined
  /** All of them, and why the last ones of a port were refused. */
  listeners(): Pick<Listeners, 'ports' | 'bound' | 'rejected'>
  /** The virtual hosts of a route name. */
  hosts(name: string): VirtualHosts
  /** The objects have changed. */
  refresh(): void
}

/** Reads the objects of `world` at once, and again after each `refresh`: several changes in one turn are
 *  read once, and who asks never waits for the next turn. `changed` gets every chain that terminates TLS
 *  after each reading, and `log` what was left out, once. */
export function createConfiguration(options: {
  readonly world: () => World
  readonly log: (line: string) => void
  readonly changed: (chains: readonly TerminatedChain[]) => void
}): Configuration {
  const { world, log, changed } = options
  let listeners: ReadonlyMap<number, Listener> = new Map()
  let bound: ReadonlyMap<string, Listener> = new Map()
  let rejected: Listeners['rejected'] = new Map()
  let routes: ReadonlyMap<string, VirtualHosts> = new Map()
  let waiting: NodeJS.Immediate | undefined
  let logged = ''

  function settle(): void {
    if (!waiting) return
    clearImmediate(waiting)
    waiting = undefined
    read()
  }

  function read(): void {
    const found = listenersOf(world())
    const next = new Map(found.ports)
    for (const port of found.rejected.keys()) {
      const last = listeners.get(port)
      if (last) next.set(port, last)
    }
    listeners = next
    bound = found.bound
    rejected = found.rejected
    routes = routesOf([...listeners, ...portsOf(bound)])
    changed(chainsOf([...listeners.values(), ...bound.values()]))
    const remarks = found.remarks.join('\n')
    if (remarks && remarks !== logged) for (const line of found.remarks) log(`ingress: ${line}`)
    logged = remarks
  }

  read()
  return {
    listener(port, address = '') {
      settle()
      return bound.get(`${address}:${port}`) ?? listeners.get(port)
    },
    listeners() {
      settle()
      return { ports: listeners, bound, rejected }
    },
    hosts(name) {
      settle()
      return routes.get(name) ?? new Map()
    },
    refresh() {
      waiting ??= setImmediate(settle)
    },
  }
}

function portsOf(bound: ReadonlyMap<string, Listener>): readonly (readonly [number, Listener])[] {
  return [...bound].map(([key, listener]) => [
    Number(key.slice(key.lastIndexOf(':') + 1)),
    listener,
  ])
}

function chainsOf(listeners: readonly Listener[]): readonly TerminatedChain[] {
  return listeners.flatMap((listener) =>
    'tls' in listener ? [...listener.tls.values()].filter(isTerminated) : [],
  )
}

function isTerminated(chain: Chain): chain is TerminatedChain {
  return 'name' in chain
}

/** The virtual hosts of each route name: `http.8080`, `https.443.port.gateway.namespace`. */
function routesOf(
  listeners: readonly (readonly [number, Listener])[],
): ReadonlyMap<string, VirtualHosts> {
  const routes = new Map<string, VirtualHosts>()
  for (const [port, listener] of listeners) {
    if ('plain' in listener) routes.set(`http.${port}`, listener.plain)
    else if ('tls' in listener && listener.clear && listener.clear !== 'tcp') {
      routes.set(`http.${port}`, listener.clear)
    }
  }
  for (const { name, hosts } of chainsOf(listeners.map(([, listener]) => listener))) {
    routes.set(name, hosts)
  }
  return routes
}
