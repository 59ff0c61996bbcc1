import { at, type Fields, fields, isFields, type Json, list, text } from '../json.ts'

/** Where a request or a connection goes: a host as written, in a VirtualService's namespace. */
export type Destination = {
  readonly host: string
  readonly namespace: string
  readonly port?: number
}

/** One HTTP route; the first whose match holds is taken. */
export type Route = {
  readonly matches: readonly RouteMatch[]
  readonly to?: Destination
  readonly answer?: { readonly status: number; readonly body: string }
}

/** A match the sandbox understands, or one it does not, which never holds. */
export type RouteMatch =
  | {
      readonly path: 'prefix' | 'exact' | 'regex' | 'any'
      readonly value: string
      readonly method: string
    }
  | 'unsupported'

const understood = ['name', 'uri', 'method', 'port', 'gateways']

/** The HTTP routes of a VirtualService for a server with this port number of this gateway. */
export function routesOf(virtualService: Fields, port: number, gateway: string): readonly Route[] {
  const namespace = text(virtualService, 'metadata', 'namespace')
  return list(virtualService, 'spec', 'http').flatMap((route): Route[] => {
    const all = list(route, 'match').filter(isFields)
    const here = all.filter((match) => isFor(match, port, gateway, namespace))
    if (all.length > 0 && here.length === 0) return []
    const response = at(route, 'directResponse')
    const matches = here.map(matchOf)
    if (isFields(response)) {
      const answer = {
        status: Number(at(response, 'status')),
        body: text(response, 'body', 'string'),
      }
      return [{ matches, answer }]
    }
    const to = destinationOf(list(route, 'route'), namespace)
    return to ? [{ matches, to }] : []
  })
}

/** Does a match's own port and gateways admit this server? The port is the Gateway's number, not the
 *  pod's. */
export function isFor(match: Json, port: number, gateway: string, namespace: string): boolean {
  const wanted = at(match, 'port')
  if (wanted !== undefined && wanted !== port) return false
  const names = list(match, 'gateways')
  return names.length === 0 || names.some((name) => qualified(String(name), namespace) === gateway)
}

/** A gateway reference of a VirtualService as `namespace/name`. */
export function qualified(reference: string, namespace: string): string {
  return reference.includes('/') ? reference : `${namespace}/${reference}`
}

/** The destination with the greatest weight. */
export function destinationOf(routes: readonly Json[], namespace: string): Destination | undefined {
  const weight = (route: Json) => Number(at(route, 'weight') ?? 0)
  const [chosen] = routes.toSorted((a, b) => weight(b) - weight(a))
  const host = text(chosen, 'destination', 'host')
  if (!host) return undefined
  const port = at(chosen, 'destination', 'port', 'number')
  return { host, namespace, ...(typeof port === 'number' ? { port } : {}) }
}

function matchOf(match: Fields): RouteMatch {
  if (Object.keys(match).some((name) => !understood.includes(name))) return 'unsupported'
  const method = text(match, 'method', 'exact')
  if (at(match, 'method') !== undefined && !method) return 'unsupported'
  for (const path of ['prefix', 'exact', 'regex'] as const) {
    const value = text(fields(match, 'uri'), path)
    if (value) return { path, value, method }
  }
  return { path: 'any', value: '', method }
}

/** The routes in the order they are tried: catch-alls last, otherwise as given. */
export function inOrder(routes: readonly Route[]): readonly Route[] {
  return [...routes.filter((route) => !catchesAll(route)), ...routes.filter(catchesAll)]
}

function catchesAll({ matches }: Route): boolean {
  return (
    matches.length === 0 ||
    matches.some((match) => {
      if (match === 'unsupported' || match.method) return false
      const { path, value } = match
      return (
        path === 'any' ||
        (path === 'prefix' && value === '/') ||
        (path === 'regex' && value === '.*')
      )
    })
  )
}

/** Does the route take this request? Paths are case-sensitive and end before the query. */
export function takes({ matches }: Route, method: string, url: string): boolean {
  const path = url.split('?')[0] ?? ''
  if (matches.length === 0) return true
  return matches.some((match) => {
    if (match === 'unsupported' || (match.method && match.method !== method)) return false
    if (match.path === 'prefix') return path.startsWith(match.value)
    if (match.path === 'regex') return new RegExp(`^(?:${match.value})$`).test(path)
    return match.path === 'any' || path === match.value
  })
}
