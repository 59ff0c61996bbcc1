import Type from 'typebox'
import { closed, Namespace } from '../shared/schema.ts'

const Path = Type.String({ pattern: '^/', maxLength: 1024 })
const Port = Type.Integer({ minimum: 1, maximum: 65535 })
const GatewayPort = Type.Enum([80, 443], {
  description: 'Only for requests that come in by this port of the gateway',
})
const ServiceName = Type.String({
  pattern: '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'RFC 1035 label, as Services have',
})

/** RFC 9110 9 and RFC 5789, without CONNECT and TRACE, which no gateway passes on. */
const Method = Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'], {
  title: 'HttpMethod',
})
const Methods = Type.Array(Method, { minItems: 1, maxItems: 7, uniqueItems: true })

const Regex = Type.String({
  minLength: 1,
  maxLength: 1024,
  description: 'RE2 syntax, which has no lookaround and no backreferences; matches the whole text',
})
const Text = Type.String({ minLength: 1, maxLength: 1024 })

/** RFC 9110 5.1; longer names are nobody's. */
const HeaderName = Type.String({ pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", maxLength: 256 })
const HeaderValue = Type.String({
  pattern: '^[^\\x00-\\x08\\x0A-\\x1F\\x7F]*$',
  maxLength: 4096,
  description: 'Sent as it is: % has no meaning',
})
const HeaderNames = Type.Array(HeaderName, { minItems: 1, maxItems: 32, uniqueItems: true })

/** Durations as Istio and the Gateway API write them, in one unit. */
const Duration = Type.String({
  pattern: '^[1-9][0-9]{0,6}(ms|s|m|h)$',
  description: 'As 500ms, 15s, 2m; an hour at most',
})

const texts = {
  exact: Type.Optional(Text),
  prefix: Type.Optional(Text),
  regex: Type.Optional(Regex),
}
const present = Type.Optional(
  Type.Boolean({ description: 'true: that it is there is enough, whatever its value' }),
)
const HeaderMatch = closed({ name: HeaderName, ...texts, present }, { title: 'HeaderMatch' })
const QueryMatch = closed({ name: Text, ...texts, present }, { title: 'QueryParamMatch' })

const Match = closed(
  {
    prefix: Type.Optional(Path),
    exact: Type.Optional(Path),
    regex: Type.Optional(Regex),
    port: Type.Optional(GatewayPort),
    methods: Type.Optional(Methods),
    headers: Type.Optional(Type.Array(HeaderMatch, { minItems: 1, maxItems: 16 })),
    queryParams: Type.Optional(Type.Array(QueryMatch, { minItems: 1, maxItems: 16 })),
  },
  { title: 'RouteMatch' },
)

const ServerName = Type.String({
  pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$',
  maxLength: 253,
  description: 'The name that is asked for, and that the backend has to have',
})
const Tls = closed(
  {
    mode: Type.Enum(['SIMPLE', 'MUTUAL'], {
      title: 'BackendTlsMode',
      description: 'MUTUAL: the gateway shows the backend a certificate of its own',
    }),
    sni: ServerName,
    subjectAltNames: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
        minItems: 1,
        maxItems: 16,
        description: 'Of these the certificate of the backend has to bear one (sni)',
      }),
    ),
    caCertificates: Type.Optional(
      Type.String({
        maxLength: 65_536,
        description: 'PEM: whom to trust (the roots of the gateway’s own system)',
      }),
    ),
    clientCertificate: Type.Optional(
      Type.String({
        format: 'uuid',
        description:
          'MUTUAL only: a client certificate of the tenant whose key is held here. Whatever takes its place, by renewal or replacement, is shown in its stead',
      }),
    ),
  },
  {
    title: 'BackendTls',
    description: 'The gateway speaks TLS to the backend, and holds it to its certificate',
  },
)
export type BackendTls = Type.Static<typeof Tls>

const destination = {
  service: ServiceName,
  namespace: Namespace,
  port: Port,
  tls: Type.Optional(Tls),
}
const Weight = Type.Integer({
  minimum: 0,
  maximum: 1_000_000,
  description: 'Its share of the requests among the destinations of the route; 0: none',
})

/** Where requests go. */
export const Destination = closed(
  { ...destination, weight: Type.Optional(Weight) },
  { title: 'WeightedDestination' },
)
export type Destination = Type.Static<typeof Destination>

const To = Type.Union([
  closed(destination, { title: 'Destination' }),
  Type.Array(Destination, {
    minItems: 1,
    maxItems: 16,
    description: 'Several destinations, each with a weight',
  }),
])

const Rewrite = closed(
  {
    path: Type.Optional(
      Type.String({
        pattern: '^/',
        maxLength: 1024,
        description: 'In place of the prefix that was matched, or of the whole path',
      }),
    ),
    host: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$',
        maxLength: 261,
        description: 'What the backend gets as Host',
      }),
    ),
  },
  { title: 'RouteRewrite' },
)

const Redirect = closed(
  {
    scheme: Type.Optional(Type.Enum(['http', 'https'])),
    host: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$',
        maxLength: 255,
      }),
    ),
    port: Type.Optional(Port),
    path: Type.Optional(
      Type.String({ pattern: '^/', maxLength: 1024, description: 'In place of the whole path' }),
    ),
    code: Type.Optional(Type.Enum([301, 302, 303, 307, 308], { description: '301' })),
  },
  { title: 'RouteRedirect' },
)

const RetryOn = Type.Enum(
  [
    ['5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'refused-stream'],
    ['retriable-4xx', 'envoy-ratelimited', '409', '429', '500', '502', '503', '504'],
    ['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable'],
  ].flat(),
  { title: 'RetryCondition', description: 'A condition of Envoy, or a status' },
)
const Retries = closed(
  {
    attempts: Type.Integer({
      minimum: 0,
      maximum: 10,
      description: 'After the first; 0: no retries, where Istio would make two',
    }),
    perTryTimeout: Type.Optional(Duration),
    retryOn: Type.Optional(Type.Array(RetryOn, { minItems: 1, maxItems: 19, uniqueItems: true })),
  },
  { title: 'RouteRetries' },
)

const HeaderSetting = closed({ name: HeaderName, value: HeaderValue }, { title: 'HeaderSetting' })
const HeaderSettings = Type.Array(HeaderSetting, { minItems: 1, maxItems: 32 })
const HeaderChanges = closed(
  {
    set: Type.Optional(HeaderSettings),
    add: Type.Optional(HeaderSettings),
    remove: Type.Optional(HeaderNames),
  },
  { title: 'HeaderChanges' },
)
export type HeaderChanges = Type.Static<typeof HeaderChanges>

const Cors = closed(
  {
    allowOrigins: Type.Array(closed(texts, { title: 'StringMatch' }), {
      minItems: 1,
      maxItems: 32,
      description: 'As https://shop.example.com; exact "*" is every origin',
    }),
    allowMethods: Type.Optional(Methods),
    allowHeaders: Type.Optional(HeaderNames),
    exposeHeaders: Type.Optional(HeaderNames),
    maxAge: Type.Optional(Duration),
    allowCredentials: Type.Optional(Type.Boolean()),
  },
  { title: 'CorsPolicy' },
)

const actions = {
  to: Type.Optional(To),
  redirect: Type.Optional(Redirect),
  rewrite: Type.Optional(Rewrite),
  timeout: Type.Optional(Duration),
  retries: Type.Optional(Retries),
  requestHeaders: Type.Optional(HeaderChanges),
  responseHeaders: Type.Optional(HeaderChanges),
  cors: Type.Optional(Cors),
}

/** A route of a host, complete: which requests, and what becomes of them. */
export const Route = closed({ match: Match, ...actions }, { title: 'Route' })
export type Route = Type.Static<typeof Route>
export type RouteMatch = Route['match']

/** The same as it is asked for: what is left out of `match` is filled in. */
export const AskedRoute = closed(
  { match: Type.Optional(Match), ...actions },
  { title: 'RouteSpec' },
)
export type AskedRoute = Type.Static<typeof AskedRoute>

/** Where the requests of a route go; nowhere, if it redirects them. */
export function destinationsOf({ to }: Pick<Route, 'to'>): readonly Destination[] {
  if (to === undefined) return []
  return Array.isArray(to) ? to : [to]
}

/** The certificates by which the gateway is known to the backends of these routes, each once. */
export function backendClientsIn(routes: readonly Pick<Route, 'to'>[]): readonly string[] {
  const all = routes.flatMap(destinationsOf).flatMap(({ tls }) => tls?.clientCertificate ?? [])
  return [...new Set(all)]
}

/** A duration in milliseconds. */
export function millisecondsOf(duration: string): number {
  const [, digits = '0', unit = 'ms'] = /^(\d+)(ms|s|m|h)$/.exec(duration) ?? []
  return Number(digits) * (unitMilliseconds.get(unit) ?? 1)
}

const unitMilliseconds = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
])

/** Whether a browser's question whether a page may ask (the preflight of the Fetch standard: OPTIONS, without the page's
 *  own headers) would not match the route that it is about. */
export function hidesPreflight({
  match: { methods, headers },
  cors,
}: Pick<Route, 'match' | 'cors'>): boolean {
  return cors !== undefined && (headers !== undefined || methods?.includes('OPTIONS') === false)
}
