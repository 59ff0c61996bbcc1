import type { Violation } from '../../shared/problem.ts'
import type { CompleteSpec } from '../host.ts'
import { destinationsOf, hidesPreflight, millisecondsOf, type Route } from '../route.ts'

/** What is known of a host beside what it says. */
type Known = {
  /** Its clients are told from others of the same authority by a name in their certificates. */
  readonly byName: boolean
}

/** What of a host the Kubernetes Gateway API cannot say, or Istio does not take from it (tried with Istio 1.31 and its
 *  standard channel 1.6), given the clusters where hosts are written in it. It is refused: a host is the
 *  same wherever it is, or it is not there. */
export function gatewayApiFaults(
  spec: CompleteSpec,
  clusters: readonly string[],
  known: Known,
): readonly Violation[] {
  if (clusters.length === 0) return []
  const shown = clusters.slice(0, 3).map((name) => `"${name}"`)
  const where = `cluster ${shown.join(', ')}${clusters.length > 3 ? ' and others' : ''}`
  return [...tlsFaults(spec, known), ...spec.routes.flatMap(routeFaults)].map(
    ({ field, message }) => ({
      field,
      message: `${message}; hosts of ${where} are written in the Gateway API, which cannot say it`,
    }),
  )
}

function tlsFaults({ tls }: CompleteSpec, { byName }: Known): readonly Violation[] {
  const faults: Violation[] = []
  if (tls.minVersion === 'TLSV1_3') {
    faults.push({ field: '/tls/minVersion', message: 'A TLS version of one host: leave this out' })
  }
  if (tls.maxVersion === 'TLSV1_2') {
    faults.push({ field: '/tls/maxVersion', message: 'A TLS version of one host: leave this out' })
  }
  if (tls.mode === 'MUTUAL' && byName) {
    const message = `"${tls.clientAuthority}" has clients of others, who would be let in as well: choose an authority of the tenant's own, or say clients "authority" to let everybody in`
    faults.push({ field: '/tls/clients', message })
  }
  return faults
}

/** As the CRD has it. */
const origin = /^\*$|^https?:\/\/(?:(?:\*\.)?(?:[a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(?::[0-9]{1,5})?$/

function routeFaults(route: Route, index: number): readonly Violation[] {
  const { match, rewrite, retries, cors, requestHeaders, responseHeaders, redirect } = route
  const faults: Violation[] = []
  const fault = (field: string, message: string) => {
    faults.push({ field: `/routes/${index}${field}`, message })
  }
  if (match.regex !== undefined) {
    fault(
      '/match/regex',
      'A regex of the path, which comes before the prefixes: use exact or prefix',
    )
  }
  match.queryParams?.forEach(({ name }, at) => {
    if (!/^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}$/.test(name)) {
      fault(`/match/queryParams/${at}/name`, `A parameter that is no token: "${name}"`)
    }
  })
  if (matchesOf(route) > 64) fault('/match', 'More than 64 matches in one route')
  if (retries) fault('/retries', 'Retries: leave this out, and Istio makes two by itself')
  if (rewrite?.host?.includes(':')) fault('/rewrite/host', 'A host with a port')
  for (const [at, host] of [
    ['/rewrite/host', rewrite?.host],
    ['/redirect/host', redirect?.host],
  ] as const) {
    if (host !== undefined && host !== host.toLowerCase()) fault(at, 'Capital letters in a host')
  }
  if (rewrite?.path !== undefined && match.prefix !== undefined && matchesOf(route) > 1) {
    fault('/rewrite/path', 'A rewritten prefix with several methods or CORS: make a route for each')
  }
  for (const [field, changes] of Object.entries({ requestHeaders, responseHeaders })) {
    const most = Math.max(
      ...[changes?.set, changes?.add, changes?.remove].map((each) => each?.length ?? 0),
    )
    if (most > 16) fault(`/${field}`, 'More than 16 headers at a time')
  }
  cors?.allowOrigins.forEach(({ exact }, at) => {
    if (exact === undefined || !origin.test(exact)) {
      fault(`/cors/allowOrigins/${at}`, 'An origin other than by exact scheme and host')
    }
  })
  if (cors?.maxAge !== undefined && millisecondsOf(cors.maxAge) % 1000 !== 0) {
    fault('/cors/maxAge', 'Parts of a second')
  }
  destinationsOf(route).forEach(({ tls }, at) => {
    if (!tls) return
    const place = Array.isArray(route.to) ? `/to/${at}` : '/to'
    fault(
      `${place}/tls`,
      'TLS to a backend for this host alone (a BackendTLSPolicy is one for all who lead to the Service)',
    )
  })
  return faults
}

function matchesOf(route: Route): number {
  return (route.match.methods?.length ?? 1) + (hidesPreflight(route) ? 1 : 0)
}
