import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { type CompleteSpec, namesOf } from '../../hosts/host.ts'
import { literal } from '../../hosts/request/re2.ts'
import { tlsRoute } from '../../hosts/request/routes.ts'
import {
  type Destination,
  destinationsOf,
  type HeaderChanges,
  hidesPreflight,
  type Route,
} from '../../hosts/route.ts'
import type { DesiredHost } from '../renderer.ts'
import { serviceHost, subsetOf } from './destinationrule.ts'
import { metadata, objectName } from './names.ts'

/** The VirtualService of a host: where its requests go. */
export function virtualService(delivery: DesiredHost): KubeObject {
  const { host, ingress } = delivery
  const name = objectName(host.name, ingress.name)
  const hosts = namesOf(host.name, host.spec)
  const tls = tlsRoute(host.spec)
  const own = ordered(host.spec.routes.filter((route) => route !== tls))
  const http = delivery.challenges?.length
    ? challenged(delivery, own)
    : [...own.map((route) => httpRoute(delivery, route)), ...plainRedirect(host.spec)]
  return {
    ...kinds.istioVirtualService,
    metadata: metadata(delivery, name, ingress.namespace),
    spec: {
      hosts,
      gateways: [`${ingress.namespace}/${name}`],
      ...(tls && delivery.certificate
        ? { tls: [{ match: [{ port: 443, sniHosts: hosts }], route: weighted(delivery, tls) }] }
        : {}),
      ...(http.length > 0 ? { http } : {}),
    },
  }
}

/** While a CA elsewhere looks for challenges, port 80 answers these, and all else as it is asked for: `redirect` and
 *  `off` are said by routes for that port alone, since a server that redirects would redirect challenges, too. */
function challenged(delivery: DesiredHost, own: readonly Route[]) {
  const { host, challenges = [], certificate } = delivery
  const plain = certificate ? host.spec.http : 'off'
  const everything = { uri: { prefix: '/' }, port: 80 }
  const routes = certificate ? own : []
  const secure = routes.flatMap((route) =>
    route.match.port === 80 ? [] : { ...route, match: { ...route.match, port: 443 as const } },
  )
  return [
    ...challenges.map(({ token, keyAuthorization }) => ({
      match: [{ uri: { exact: `/.well-known/acme-challenge/${token}` }, port: 80 }],
      directResponse: { status: 200, body: { string: keyAuthorization } },
    })),
    ...(plain === 'serve' ? routes : secure).map((route) => httpRoute(delivery, route)),
    ...(plain === 'redirect' ? [{ match: [everything], redirect: { scheme: 'https' } }] : []),
    ...(plain === 'off' ? [{ match: [everything], directResponse: { status: 404 } }] : []),
  ]
}

/** istiod makes a virtual host of port 80 from the routes for that port. Where there are none, its redirect
 *  to https stands under a name that no request asks for (the server's host with its namespace), and all
 *  that comes is answered 404. */
function plainRedirect({ http, routes }: CompleteSpec) {
  const redirects = http === 'redirect' && routes.every(({ match }) => match.port === 443)
  return redirects
    ? [{ match: [{ uri: { prefix: '/' }, port: 80 }], redirect: { scheme: 'https' } }]
    : []
}

/** The first match wins in Envoy. The order is that of the Gateway API (HTTPRouteRule): exact paths, then
 *  regular expressions as they were given, then longer prefixes before shorter ones; of one path those for
 *  one port, for methods, for more headers and for more query parameters before those for all. */
function ordered(routes: readonly Route[]): readonly Route[] {
  return routes.toSorted((a, b) => {
    const ranks = rank(b.match)
    return rank(a.match).reduce((order, each, index) => order || each - (ranks[index] ?? 0), 0)
  })
}

function rank(match: Route['match']): readonly number[] {
  const { exact, regex, prefix = '', port, methods, headers = [], queryParams = [] } = match
  return [
    exact === undefined ? (regex === undefined ? 2 : 1) : 0,
    regex === undefined ? -(exact ?? prefix).length : 0,
    port === undefined ? 1 : 0,
    methods === undefined ? 1 : 0,
    -headers.length,
    -queryParams.length,
  ]
}

function httpRoute(delivery: DesiredHost, route: Route) {
  const { redirect, timeout, cors } = route
  return {
    match: matches(route),
    ...(redirect ? { redirect: redirected(redirect) } : { route: weighted(delivery, route) }),
    ...rewritten(route),
    ...(timeout === undefined ? {} : { timeout }),
    ...retried(route),
    ...headersOf(route),
    ...(cors ? { corsPolicy: corsPolicy(cors) } : {}),
  }
}

/** A browser asks by OPTIONS, without the page's own headers, whether the page may ask (the Fetch standard
 *  calls it a preflight): where the route is for other methods or for some headers, that question is a
 *  match of its own, or it would go elsewhere. */
function matches(route: Route) {
  const { match } = route
  const { methods, headers, queryParams, port } = match
  const place = {
    uri: uri(match),
    ...(port === undefined ? {} : { port }),
    ...(queryParams ? { queryParams: named(queryParams) } : {}),
  }
  const asked = {
    ...place,
    ...(methods ? { method: oneOf(methods) } : {}),
    ...(headers ? { headers: lowered(named(headers)) } : {}),
  }
  const preflight = {
    ...place,
    method: { exact: 'OPTIONS' },
    headers: { origin: {}, 'access-control-request-method': {} },
  }
  return hidesPreflight(route) ? [asked, preflight] : [asked]
}

function uri({ exact, prefix, regex }: Route['match']) {
  if (exact !== undefined) return { exact }
  return regex === undefined ? { prefix: prefix ?? '/' } : { regex }
}

function oneOf(methods: readonly string[]) {
  const [only, ...more] = methods
  return more.length === 0 && only !== undefined ? { exact: only } : { regex: methods.join('|') }
}

type Named = NonNullable<Route['match']['headers']>[number]

/** By name, as Istio has it; an empty match is one of presence. */
function named(list: readonly Named[]) {
  return Object.fromEntries(list.map(({ name, present: _, ...match }) => [name, match]))
}

function lowered<Value>(headers: Readonly<Record<string, Value>>) {
  return Object.fromEntries(Object.entries(headers).map(([name, v]) => [name.toLowerCase(), v]))
}

function redirected({ host, path, scheme, port, code }: NonNullable<Route['redirect']>) {
  return {
    ...(path === undefined ? {} : { uri: path }),
    ...(host === undefined ? {} : { authority: host }),
    ...(scheme === undefined ? {} : { scheme }),
    ...(port === undefined ? {} : { port }),
    ...(code === undefined ? {} : { redirectCode: code }),
  }
}

/** A prefix without a slash at its end that is to become one with, or only that, would leave two of them:
 *  `/api` to `/` makes `//users` of `/api/users`. There the slash that follows is taken with it. */
function rewritten({ rewrite, match }: Route) {
  if (!rewrite) return {}
  const { path, host } = rewrite
  const authority = host === undefined ? {} : { authority: host }
  if (path === undefined) return { rewrite: authority }
  const { prefix } = match
  if (prefix === undefined || prefix.endsWith('/') || !path.endsWith('/')) {
    return { rewrite: { uri: path, ...authority } }
  }
  const substitute = `${path.replaceAll('\\', '\\\\')}\\1`
  const uriRegexRewrite = { match: `^${literal(prefix)}/?(.*)$`, rewrite: substitute }
  return { rewrite: { uriRegexRewrite, ...authority } }
}

function retried({ retries }: Route) {
  if (!retries) return {}
  const { attempts, perTryTimeout, retryOn } = retries
  return {
    retries: {
      attempts,
      ...(perTryTimeout === undefined ? {} : { perTryTimeout }),
      ...(retryOn === undefined ? {} : { retryOn: retryOn.join(',') }),
    },
  }
}

function headersOf({ requestHeaders, responseHeaders }: Route) {
  if (!requestHeaders && !responseHeaders) return {}
  return {
    headers: {
      ...(requestHeaders ? { request: changed(requestHeaders) } : {}),
      ...(responseHeaders ? { response: changed(responseHeaders) } : {}),
    },
  }
}

function changed({ set, add, remove }: HeaderChanges) {
  return {
    ...(set ? { set: valued(set) } : {}),
    ...(add ? { add: valued(add) } : {}),
    ...(remove ? { remove } : {}),
  }
}

/** For Envoy a % begins a variable: two of them are one that means itself. */
function valued(settings: NonNullable<HeaderChanges['set']>) {
  return Object.fromEntries(settings.map(({ name, value }) => [name, value.replaceAll('%', '%%')]))
}

function corsPolicy(cors: NonNullable<Route['cors']>) {
  const { allowOrigins, allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials } = cors
  return {
    allowOrigins,
    ...(allowMethods ? { allowMethods } : {}),
    ...(allowHeaders ? { allowHeaders } : {}),
    ...(exposeHeaders ? { exposeHeaders } : {}),
    ...(maxAge === undefined ? {} : { maxAge }),
    ...(allowCredentials === undefined ? {} : { allowCredentials }),
  }
}

/** One destination alone needs no weight. */
function weighted(delivery: DesiredHost, route: Route) {
  const destinations = destinationsOf(route)
  return destinations.map((each) => ({
    destination: destination(delivery, each),
    ...(destinations.length > 1 ? { weight: each.weight ?? 0 } : {}),
  }))
}

function destination(delivery: DesiredHost, backend: Destination) {
  const subset = subsetOf(delivery, backend)
  return {
    host: serviceHost(backend),
    port: { number: backend.port },
    ...(subset === undefined ? {} : { subset }),
  }
}
