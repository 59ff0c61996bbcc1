import { kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { namesOf } from '../../hosts/host.ts'
import { literal } from '../../hosts/request/re2.ts'
import { tlsRoute as tlsRouteOf } from '../../hosts/request/routes.ts'
import {
  type Destination,
  destinationsOf,
  type HeaderChanges,
  hidesPreflight,
  millisecondsOf,
  type Route,
} from '../../hosts/route.ts'
import { metadata, objectName } from '../istio/names.ts'
import type { DesiredHost } from '../renderer.ts'
import { group } from './gateway.ts'

/** So many names, and so many rules, an HTTPRoute may have; those of one name are one list for Istio. */
const most = { hostnames: 16, rules: 16 } as const

/** Where the requests and connections of a host go. */
export function routes(delivery: DesiredHost): readonly KubeObject[] {
  const { spec } = delivery.host
  const tls = tlsRouteOf(spec)
  const http = spec.routes.filter((route) => route !== tls)
  const rules = (port: 80 | 443) =>
    http.filter(({ match }) => (match.port ?? port) === port).map(rule)
  return [
    ...(tls ? tlsRoutes(delivery, tls) : httpRoutes(delivery, 443, rules(443))),
    ...(spec.http === 'off' ? [] : httpRoutes(delivery, 80, plain(spec.http, rules(80)))),
  ]
}

/** Routes refer to Services in other namespaces, which have to grant it: to the routes of the ingress namespace,
 *  and for no more than these Services. */
export function grants(delivery: DesiredHost): readonly KubeObject[] {
  const { host, ingress } = delivery
  const all = host.spec.routes.flatMap(destinationsOf)
  const name = objectName(host.name, ingress.name)
  return [...Map.groupBy(all, ({ namespace }) => namespace)]
    .filter(([namespace]) => namespace !== ingress.namespace)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([namespace, some]) =>
      slices([...new Set(some.map(({ service }) => service))].toSorted(), 16).map(
        (services, at) => ({
          ...kinds.referenceGrant,
          metadata: metadata(delivery, at === 0 ? name : `${name}-${at}`, namespace),
          spec: {
            from: [kinds.httpRoute, kinds.tlsRoute].map(({ kind }) => ({
              ...{ group, kind },
              namespace: ingress.namespace,
            })),
            to: services.map((service) => ({ group: '', kind: 'Service', name: service })),
          },
        }),
      ),
    )
}

function plain(http: 'serve' | 'redirect', served: readonly Rule[]): readonly Rule[] {
  if (http === 'serve') return served
  const requestRedirect = { scheme: 'https', statusCode: 301 }
  return [
    {
      matches: [{ path: path({ prefix: '/' }) }],
      filters: [{ type: 'RequestRedirect', requestRedirect }],
    },
  ]
}

function httpRoutes(
  delivery: DesiredHost,
  port: 80 | 443,
  rules: readonly Rule[],
): readonly KubeObject[] {
  const { host, ingress } = delivery
  const name = objectName(host.name, ingress.name)
  const parts = slices(namesOf(host.name, host.spec), most.hostnames).flatMap((hostnames) =>
    slices(rules, most.rules).map((some) => ({ hostnames, rules: some })),
  )
  return parts.map((part, at) => ({
    ...kinds.httpRoute,
    metadata: metadata(delivery, `${name}-${port}${at === 0 ? '' : `-${at}`}`, ingress.namespace),
    spec: { parentRefs: [parent(name, port)], ...part },
  }))
}

function tlsRoutes(delivery: DesiredHost, route: Route): readonly KubeObject[] {
  const { host, ingress } = delivery
  const name = objectName(host.name, ingress.name)
  return slices(namesOf(host.name, host.spec), most.hostnames).map((hostnames, at) => ({
    ...kinds.tlsRoute,
    metadata: metadata(delivery, `${name}-443${at === 0 ? '' : `-${at}`}`, ingress.namespace),
    spec: {
      parentRefs: [parent(name, 443)],
      hostnames,
      rules: [{ backendRefs: backends(destinationsOf(route)) }],
    },
  }))
}

function parent(name: string, port: number) {
  return { group, kind: kinds.gateway.kind, name, port }
}

function slices<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  const starts = Array.from({ length: Math.ceil(all.length / size) }, (_, at) => at * size)
  return starts.map((start) => all.slice(start, start + size))
}

type Rule = { readonly matches: readonly object[] } & Readonly<Record<string, unknown>>

function rule(route: Route): Rule {
  const { timeout, redirect } = route
  const filters = filtersOf(route)
  return {
    matches: matches(route),
    ...(filters.length > 0 ? { filters } : {}),
    ...(redirect ? {} : { backendRefs: backends(destinationsOf(route)) }),
    ...(timeout === undefined ? {} : { timeouts: { request: duration(timeout) } }),
  }
}

/** GEP-2257 has five digits at most. */
function duration(text: string): string {
  const milliseconds = millisecondsOf(text)
  const seconds = Math.floor(milliseconds / 1000)
  return [
    ...(seconds > 0 ? [`${seconds}s`] : []),
    ...(milliseconds % 1000 > 0 ? [`${milliseconds % 1000}ms`] : []),
  ].join('')
}

/** A match has one method: several are several matches. A browser's question before a request from another
 *  origin is a match of its own where the route is for other methods or for some headers. */
function matches(route: Route) {
  const { match } = route
  const { methods, headers, queryParams } = match
  const place = {
    path: path(match),
    ...(queryParams ? { queryParams: queryParams.map(valued) } : {}),
  }
  const asked = { ...place, ...(headers ? { headers: headers.map(valued) } : {}) }
  const all = methods ? methods.map((method) => ({ ...asked, method })) : [asked]
  const present = ['origin', 'access-control-request-method'].map((name) =>
    valued({ name, present: true }),
  )
  return hidesPreflight(route) ? [...all, { ...place, method: 'OPTIONS', headers: present }] : all
}

function path({ exact, prefix = '/' }: Route['match']) {
  return exact === undefined
    ? { type: 'PathPrefix', value: prefix }
    : { type: 'Exact', value: exact }
}

type Valued = NonNullable<Route['match']['headers']>[number]

/** Istio holds a regular expression against the whole value. */
function valued({ name, exact, prefix, regex }: Valued) {
  if (exact !== undefined) return { type: 'Exact', name, value: exact }
  const value = regex ?? `${literal(prefix ?? '')}.*`
  return { type: 'RegularExpression', name, value }
}

function filtersOf({ match, redirect, rewrite, requestHeaders, responseHeaders, cors }: Route) {
  return [
    ...(requestHeaders
      ? [{ type: 'RequestHeaderModifier', requestHeaderModifier: changed(requestHeaders) }]
      : []),
    ...(responseHeaders
      ? [{ type: 'ResponseHeaderModifier', responseHeaderModifier: changed(responseHeaders) }]
      : []),
    ...(redirect ? [{ type: 'RequestRedirect', requestRedirect: redirected(redirect) }] : []),
    ...(rewrite ? [{ type: 'URLRewrite', urlRewrite: rewritten(rewrite, match) }] : []),
    ...(cors ? [{ type: 'CORS', cors: corsOf(cors) }] : []),
  ]
}

/** For Envoy a % begins a variable, and istiod hands values on as they are. */
function changed({ set, add, remove }: HeaderChanges) {
  const settings = (all: NonNullable<HeaderChanges['set']>) =>
    all.map(({ name, value }) => ({ name, value: value.replaceAll('%', '%%') }))
  return {
    ...(set ? { set: settings(set) } : {}),
    ...(add ? { add: settings(add) } : {}),
    ...(remove ? { remove } : {}),
  }
}

function redirected({ host, path, scheme, port, code }: NonNullable<Route['redirect']>) {
  return {
    ...(scheme === undefined ? {} : { scheme }),
    ...(host === undefined ? {} : { hostname: host }),
    ...(path === undefined ? {} : { path: { type: 'ReplaceFullPath', replaceFullPath: path } }),
    ...(port === undefined ? {} : { port }),
    statusCode: code ?? 301,
  }
}

function rewritten({ path, host }: NonNullable<Route['rewrite']>, { exact }: Route['match']) {
  const whole =
    exact === undefined
      ? { type: 'ReplacePrefixMatch', replacePrefixMatch: path }
      : { type: 'ReplaceFullPath', replaceFullPath: path }
  return {
    ...(host === undefined ? {} : { hostname: host }),
    ...(path === undefined ? {} : { path: whole }),
  }
}

function corsOf(cors: NonNullable<Route['cors']>) {
  const { allowOrigins, allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials } = cors
  return {
    allowOrigins: allowOrigins.flatMap(({ exact }) => exact ?? []),
    ...(allowCredentials === undefined ? {} : { allowCredentials }),
    ...(allowMethods ? { allowMethods } : {}),
    ...(allowHeaders ? { allowHeaders } : {}),
    ...(exposeHeaders ? { exposeHeaders } : {}),
    maxAge: maxAge === undefined ? 5 : Math.max(1, Math.floor(millisecondsOf(maxAge) / 1000)),
  }
}

function backends(destinations: readonly Destination[]) {
  return destinations.map(({ service, namespace, port, weight }) => ({
    ...{ group: '', kind: 'Service', name: service, namespace, port },
    weight: destinations.length > 1 ? (weight ?? 0) : 1,
  }))
}
