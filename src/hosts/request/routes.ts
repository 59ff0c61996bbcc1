import type { Violation } from '../../shared/problem.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { X509Error } from '../../x509/der/errors.ts'
import { readPem } from '../../x509/der/pem.ts'
import type { CompleteSpec, HostSpec, TlsMode } from '../host.ts'
import {
  type AskedRoute,
  type BackendTls,
  type Destination,
  destinationsOf,
  millisecondsOf,
  type Route,
  type RouteMatch,
} from '../route.ts'
import { corsFaults, headerFaults, stringFaults } from './headers.ts'
import { re2Fault } from './re2.ts'

/** The route as it is stored: what it matches is said. */
export function completeRoute(mode: TlsMode, { match, ...rest }: AskedRoute): Route {
  if (mode === 'PASSTHROUGH' && match?.port !== 80) return { ...rest, match: { port: 443 } }
  if (match?.exact !== undefined || match?.regex !== undefined) return { ...rest, match }
  return { ...rest, match: { ...match, prefix: match?.prefix ?? '/' } }
}

/** The route of a PASSTHROUGH host that gets the TLS connection itself; undefined in other modes. */
export function tlsRoute({ tls, routes }: CompleteSpec): Route | undefined {
  return tls.mode === 'PASSTHROUGH' ? routes.find(({ match }) => match.port === 443) : undefined
}

/** What a PASSTHROUGH host hands its TLS connections to. */
export function tlsBackend(spec: CompleteSpec): Destination {
  const [backend] = destinationsOf(tlsRoute(spec) ?? {})
  if (!backend) throw new Error('A PASSTHROUGH host has a TLS route: see passthroughFaults')
  return backend
}

/** What of the routes would be refused by Istio, or could not do what it says; all at once. */
export function routeFaults(
  names: readonly string[],
  request: HostSpec,
  namespaces: readonly string[],
): readonly Violation[] {
  const large = sizeFaults(request.routes)
  if (large.length > 0) return large
  const mode = request.tls?.mode ?? 'SIMPLE'
  const each = request.routes.flatMap((route, index) =>
    [
      ...matchFaults(request, route),
      ...targetFaults(route, namespaces),
      ...redirectFaults(names, route),
      ...timingFaults(route),
      ...rewriteFaults(route),
      ...headerFaults(route),
      ...corsFaults(route),
    ].map(({ field, message }) => ({ field: `/routes/${index}${field}`, message })),
  )
  return [...each, ...repeated(mode, request.routes), ...passthroughFaults(request)]
}

/** So much of what takes long to read, in all routes together: a request may not hold up the others. */
const most = { regex: 32_768, caCertificates: 131_072 } as const

function sizeFaults(routes: readonly AskedRoute[]): readonly Violation[] {
  const matched = routes.flatMap(({ match, cors }) => [
    ...(match ? [match, ...(match.headers ?? []), ...(match.queryParams ?? [])] : []),
    ...(cors?.allowOrigins ?? []),
  ])
  const backends = routes.flatMap((route) => destinationsOf(route).map(({ tls }) => tls ?? {}))
  const texts = {
    regex: matched.map(({ regex = '' }) => regex),
    caCertificates: backends.map(({ caCertificates = '' }: Partial<BackendTls>) => caCertificates),
  }
  return (['regex', 'caCertificates'] as const).flatMap((field) => {
    const octets = texts[field].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
    const message = `${field} comes to ${octets} octets in all routes; at most ${most[field]} are read`
    return octets > most[field] ? [{ field: '/routes', message }] : []
  })
}

function matchFaults(request: HostSpec, { match = {} }: AskedRoute): readonly Violation[] {
  const { prefix, exact, regex, port, headers = [], queryParams = [] } = match
  const faults: Violation[] = []
  if ([prefix, exact, regex].filter((each) => each !== undefined).length > 1) {
    const message = 'Match the path by prefix, by exact or by regex, not by several'
    faults.push({ field: '/match', message })
  }
  const fault = regex === undefined ? undefined : re2Fault(regex)
  if (fault !== undefined) faults.push({ field: '/match/regex', message: `No regex: ${fault}` })
  if (port === 80 && (request.http ?? 'redirect') !== 'serve') {
    const message = 'Nothing is served on port 80: ask for http "serve", or leave the route out'
    faults.push({ field: '/match/port', message })
  }
  return [
    ...faults,
    ...stringFaults('/match/headers', headers, { caseless: true }),
    ...stringFaults('/match/queryParams', queryParams, { caseless: false }),
  ]
}

/** Requests go somewhere, or are redirected. */
function targetFaults(route: AskedRoute, namespaces: readonly string[]): readonly Violation[] {
  const { to, redirect } = route
  if ((to === undefined) === (redirect === undefined)) {
    const message = 'A route has either "to" or "redirect"'
    return [{ field: to === undefined ? '/to' : '/redirect', message }]
  }
  const destinations = destinationsOf(route)
  const place = (index: number) => (Array.isArray(to) ? `/to/${index}` : '/to')
  const foreign = destinations.flatMap(({ namespace }, index) => {
    if (namespaces.includes(namespace)) return []
    const message = `Namespace "${namespace}" is not one of the tenant's: ${namespaces.join(', ') || 'it has none'}`
    return [{ field: `${place(index)}/namespace`, message }]
  })
  const unsafe = destinations.flatMap(({ tls }, index) =>
    tlsFaults(tls).map(({ field, message }) => ({
      field: `${place(index)}/tls/${field}`,
      message,
    })),
  )
  return [...foreign, ...unsafe, ...weightFaults(destinations), ...twice(destinations)]
}

function tlsFaults(tls: BackendTls | undefined): readonly Violation[] {
  if (!tls) return []
  const { mode, caCertificates, clientCertificate } = tls
  const faults: Violation[] = []
  const fault = caCertificates === undefined ? undefined : trustFault(caCertificates)
  if (fault !== undefined) faults.push({ field: 'caCertificates', message: fault })
  if (mode === 'MUTUAL' && clientCertificate === undefined) {
    const message = 'MUTUAL needs the id of the certificate that the gateway shows'
    faults.push({ field: 'clientCertificate', message })
  }
  // istiod looks for both in one credential, and without whom to trust it takes no backend.
  if (mode === 'MUTUAL' && caCertificates === undefined) {
    const message = 'MUTUAL needs the certificates of whom to trust'
    faults.push({ field: 'caCertificates', message })
  }
  if (mode === 'SIMPLE' && clientCertificate !== undefined) {
    const message = 'With SIMPLE the gateway shows no certificate: say MUTUAL, or leave this out'
    faults.push({ field: 'clientCertificate', message })
  }
  return faults
}

/** Envoy refuses a bundle with one certificate that it cannot read, and then takes no backend at all. */
function trustFault(pem: string): string | undefined {
  try {
    const all = readPem(pem, undefined, { bytes: 65_536, blocks: 16 })
    const ders = readPem(pem, 'CERTIFICATE')
    if (ders.length < all.length) return 'Send certificates alone, no key and nothing else'
    for (const der of ders) readCertificate(der)
    return undefined
  } catch (error) {
    if (error instanceof X509Error) return error.message
    throw error
  }
}

/** As Istio has it: of several, each has a share, and the sum is not 0. */
function weightFaults(destinations: readonly Destination[]): readonly Violation[] {
  if (destinations.length < 2) return []
  const without = destinations.findIndex(({ weight }) => weight === undefined)
  if (without >= 0) {
    const message = 'Of several destinations each needs a weight: its share of the requests'
    return [{ field: `/to/${without}/weight`, message }]
  }
  const sum = destinations.reduce((all, { weight = 0 }) => all + weight, 0)
  return sum > 0
    ? []
    : [{ field: '/to', message: 'The weights come to 0: nothing would be served' }]
}

function twice(destinations: readonly Destination[]): readonly Violation[] {
  const keys = destinations.map(({ service, namespace, port }) => `${namespace}/${service}:${port}`)
  return keys.flatMap((key, index) =>
    keys.indexOf(key) < index
      ? [{ field: `/to/${index}`, message: `${key} is a destination of this route already` }]
      : [],
  )
}

/** Fields that say what is done on the way to a backend. */
const onTheWay = ['rewrite', 'timeout', 'retries', 'requestHeaders'] as const

function redirectFaults(names: readonly string[], route: AskedRoute): readonly Violation[] {
  const { redirect, match } = route
  if (!redirect) return []
  const idle = onTheWay
    .filter((field) => route[field] !== undefined)
    .map((field) => ({
      field: `/${field}`,
      message: `No backend is asked by a redirect: leave ${field} out`,
    }))
  const { scheme, host, port, path } = redirect
  if ([scheme, host, port, path].every((each) => each === undefined)) {
    const message = 'Say where to: by scheme, host, port or path'
    return [...idle, { field: '/redirect', message }]
  }
  // Over TLS it would be asked the same again, if nothing but the scheme is said.
  const stays =
    (host === undefined || names.includes(host.toLowerCase())) &&
    (port === undefined || port === 443) &&
    scheme !== 'http' &&
    match?.port !== 80 &&
    (path === undefined || takesPath(match, path))
  const message = 'This redirects to itself: say another host or path, or match.port 80'
  return stays ? [...idle, { field: '/redirect', message }] : idle
}

function takesPath({ exact, prefix, regex }: RouteMatch = {}, path: string): boolean {
  const pathname = path.split(/[?#]/)[0] ?? ''
  if (exact !== undefined) return pathname === exact
  return regex === undefined && pathname.startsWith(prefix ?? '/')
}

/** Istio has no limit of its own; a request that takes longer is no request. */
const longest = 3_600_000

function timingFaults({ timeout, retries }: AskedRoute): readonly Violation[] {
  const { attempts, perTryTimeout, retryOn } = retries ?? {}
  const long = [
    { field: '/timeout', value: timeout },
    { field: '/retries/perTryTimeout', value: perTryTimeout },
  ].filter(({ value }) => value !== undefined && millisecondsOf(value) > longest)
  const faults = long.map(({ field, value }) => ({
    field,
    message: `${value} is more than an hour`,
  }))
  if (attempts === 0 && (perTryTimeout !== undefined || retryOn !== undefined)) {
    const message = 'With no attempts nothing is retried: leave perTryTimeout and retryOn out'
    faults.push({ field: '/retries', message })
  }
  if (
    timeout !== undefined &&
    perTryTimeout !== undefined &&
    millisecondsOf(perTryTimeout) > millisecondsOf(timeout)
  ) {
    const message = `perTryTimeout ${perTryTimeout} is never reached: the whole has ${timeout}`
    faults.push({ field: '/retries/perTryTimeout', message })
  }
  return faults
}

function rewriteFaults({ rewrite, match }: AskedRoute): readonly Violation[] {
  if (!rewrite) return []
  const { path, host } = rewrite
  if (path === undefined && host === undefined) {
    return [{ field: '/rewrite', message: 'Say what is rewritten: path or host' }]
  }
  const prefix = match?.prefix ?? '/'
  const byPrefix = match?.exact === undefined && match?.regex === undefined
  if (path === undefined || !byPrefix || !prefix.endsWith('/') || path.endsWith('/')) return []
  const message = `${prefix}x would become ${path}x: end both in / or neither`
  return [{ field: '/rewrite/path', message }]
}

function repeated(mode: TlsMode, routes: readonly AskedRoute[]): readonly Violation[] {
  const keys = routes.map((route) => matchKey(completeRoute(mode, route)))
  return keys.flatMap((key, index) => {
    const first = keys.indexOf(key)
    if (first === index) return []
    const message = `Route ${first} already matches exactly this: nothing would get here`
    return [{ field: `/routes/${index}/match`, message }]
  })
}

function matchKey({ match }: Route): string {
  const { exact, prefix, regex, port, methods = [], headers = [], queryParams = [] } = match
  const sorted = <Named extends { readonly name: string }>(list: readonly Named[]) =>
    list
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((each) => Object.entries(each).toSorted())
  const low = headers.map((each) => ({ ...each, name: each.name.toLowerCase() }))
  const path = [exact, prefix, regex, port]
  return JSON.stringify([path, methods.toSorted(), sorted(low), sorted(queryParams)])
}

function passthroughFaults(request: HostSpec): readonly Violation[] {
  if (request.tls?.mode !== 'PASSTHROUGH') return []
  const tls = request.routes.flatMap(({ match }, index) => (match?.port === 80 ? [] : [index]))
  const faults: Violation[] = []
  if (tls.length === 0) {
    const message = 'PASSTHROUGH needs one route for port 443, which takes the TLS connection'
    faults.push({ field: '/routes', message })
  }
  for (const index of tls) {
    const { match, to, ...rest } = request.routes[index] ?? {}
    const seen = Object.keys(match ?? {}).filter((field) => field !== 'port')
    if (seen.length > 0) {
      const message = `With PASSTHROUGH no request is seen on port 443: leave ${seen.join(', ')} out`
      faults.push({ field: `/routes/${index}/match`, message })
    }
    const done = Object.keys(rest)
    if (done.length > 0) {
      const message = `With PASSTHROUGH nothing is done to requests on port 443: leave ${done.join(', ')} out`
      faults.push({ field: `/routes/${index}/${done[0]}`, message })
    }
    if (destinationsOf(to === undefined ? {} : { to }).some(({ tls }) => tls !== undefined)) {
      const message = 'With PASSTHROUGH the client speaks TLS to the backend itself: leave tls out'
      faults.push({ field: `/routes/${index}/to`, message })
    }
    if (Array.isArray(to) && to.length > 1) {
      const message = 'With PASSTHROUGH one backend has the certificate: name one destination'
      faults.push({ field: `/routes/${index}/to`, message })
    }
  }
  if (request.http === 'serve' && tls.length === request.routes.length) {
    const message = 'http "serve" with PASSTHROUGH needs a route with match.port 80'
    faults.push({ field: '/routes', message })
  }
  return faults
}
