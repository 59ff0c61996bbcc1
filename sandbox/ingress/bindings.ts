import { covers } from '../hostname.ts'
import { type Fields, text, texts } from '../json.ts'
import { qualified } from './routes.ts'
import { byAge, type Server, type World } from './servers.ts'

/** VirtualServices by the gateway (`namespace/name`) they bind to, in istiod's order: private to the
 *  pod's namespace first, then those exported to it, then the public, each by age. */
export type Bindings = ReadonlyMap<string, readonly Fields[]>

/** Reads them out of a world. */
export function bindingsOf({ virtualServices, pod }: World): Bindings {
  const bindings = new Map<string, Fields[]>()
  const ranked = virtualServices.map((each) => ({ each, rank: rankOf(each, pod.namespace) }))
  ranked.sort((a, b) => a.rank - b.rank || byAge(a.each, b.each))
  for (const { each, rank } of ranked) {
    const namespace = text(each, 'metadata', 'namespace')
    const names = texts(each, 'spec', 'gateways').map((name) => qualified(name, namespace))
    for (const name of rank < 3 ? new Set(names) : []) {
      const others = bindings.get(name)
      if (others) others.push(each)
      else bindings.set(name, [each])
    }
  }
  return bindings
}

/** 3 is not visible to the pod. */
function rankOf(virtualService: Fields, podNamespace: string): number {
  const own = text(virtualService, 'metadata', 'namespace')
  const to = texts(virtualService, 'spec', 'exportTo').map((each) => (each === '.' ? own : each))
  if (to.length === 0 || to.includes('*')) return 2
  if (!to.includes(podNamespace)) return 3
  return to.length === 1 ? 0 : 1
}

/** A VirtualService and the host names it shares with a server. */
export type Bound = { readonly virtualService: Fields; readonly names: readonly string[] }

/** The VirtualServices bound to a server, each with the host names both speak of. */
export function bound(server: Server, bindings: Bindings): readonly Bound[] {
  return (bindings.get(server.gateway) ?? [])
    .map((virtualService) => ({ virtualService, names: shared(server, virtualService) }))
    .filter(({ names }) => names.length > 0)
}

function shared(server: Server, virtualService: Fields): readonly string[] {
  const from = text(virtualService, 'metadata', 'namespace')
  const admitted = server.hosts.filter(({ namespace }) => namespace === '*' || namespace === from)
  const names = admitted.flatMap(({ name }) =>
    texts(virtualService, 'spec', 'hosts').flatMap((host) => {
      if (covers(name, host)) return [host.toLowerCase()]
      return covers(host, name) ? [name.toLowerCase()] : []
    }),
  )
  return [...new Set(names)]
}
