import { at, type Fields, isFields, type Json, list, text } from '../json.ts'
import { type Asked, holds, holdsForAll, matchesOf } from './http/match.ts'

/** Where a request or a connection goes: a host as written, in a VirtualService's namespace. */
export type Destination = {
  readonly host: string
  readonly namespace: string
  readonly port?: number
  readonly subset?: string
}

/** One HTTP route of a VirtualService; the first whose match holds is taken. */
export type Route = {
  /** None: every request. */
  readonly matches: readonly Fields[]
  readonly destinations: readonly { readonly to: Destination; readonly weight: number }[]
  /** What else it says. */
  readonly spec: Fields
}

/** The HTTP routes of a VirtualService for a server with this port number of this gateway. */
export function routesOf(virtualService: Fields, port: number, gateway: string): readonly Route[] {
  const namespace = text(virtualService, 'metadata', 'namespace')
  const routes = list(virtualService, 'spec', 'http').filter(isFields)
  return routes.flatMap((spec): Route[] => {
    const all = matchesOf(spec)
    const matches = all.filter((match) => isFor(match, port, gateway, namespace))
    if (all.length > 0 && matches.length === 0) return []
    return [{ matches, destinations: destinationsOf(list(spec, 'route'), namespace), spec }]
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

/** The destinations that get something: of several, those with a weight. */
export function destinationsOf(routes: readonly Json[], namespace: string): Route['destinations'] {
  const all = routes.map((route) => {
    const port = at(route, 'destination', 'port', 'number')
    const subset = text(route, 'destination', 'subset')
    const to: Destination = {
      host: text(route, 'destination', 'host'),
      namespace,
      ...(typeof port === 'number' ? { port } : {}),
      ...(subset ? { subset } : {}),
    }
    return { to, weight: Number(at(route, 'weight') ?? 0) }
  })
  return all.length === 1 ? all : all.filter(({ weight }) => weight > 0)
}

/** The routes in the order they are tried: catch-alls last, otherwise as given. */
export function inOrder(routes: readonly Route[]): readonly Route[] {
  return [...routes.filter((route) => !catchesAll(route)), ...routes.filter(catchesAll)]
}

function catchesAll({ matches }: Route): boolean {
  return matches.length === 0 || matches.some(holdsForAll)
}

/** The first route that takes the request, and by which of its matches. */
export function taking(
  routes: readonly Route[],
  asked: Asked,
): { readonly route: Route; readonly match: Fields | undefined } | undefined {
  for (const route of routes) {
    if (route.matches.length === 0) return { route, match: undefined }
    const match = route.matches.find((each) => holds(each, asked))
    if (match) return { route, match }
  }
  return undefined
}
