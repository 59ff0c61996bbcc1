import type { Schemas } from '@gatesmith/client'

type Host = Schemas['Host']
type HostSpec = Schemas['HostSpec']
type RouteSpec = Schemas['RouteSpec']

/** A route as the form has it: one destination below or at a path. */
export type SimpleRoute = {
  readonly match: 'prefix' | 'exact'
  readonly path: string
  readonly service: string
  readonly namespace: string
  readonly port: string
}

/** A route of the form, or one that says more than the form has fields for and is left as it is. */
export type DraftRoute = SimpleRoute | { readonly kept: RouteSpec }

/** What is asked for, as the fields of the form have it: texts, empty where nothing is said. */
export type Draft = {
  readonly tenant: string
  readonly name: string
  readonly mode: Schemas['TlsMode']
  readonly http: Schemas['PlainHttp']
  readonly clusters: readonly string[]
  readonly routes: readonly DraftRoute[]
  /** The id of an uploaded certificate; then the next four say nothing. */
  readonly uploaded: string
  readonly authority: string
  readonly keyAlgorithm: string
  readonly validityDays: string
  readonly organization: string
  readonly owner: string
  readonly contact: string
}

/** A route of which nothing is said yet. */
export const newRoute: SimpleRoute = {
  match: 'prefix',
  path: '/',
  service: '',
  namespace: '',
  port: '80',
}

/** Nothing is said yet. */
export const newDraft: Draft = {
  tenant: '',
  name: '',
  mode: 'SIMPLE',
  http: 'redirect',
  clusters: [],
  routes: [newRoute],
  uploaded: '',
  authority: '',
  keyAlgorithm: '',
  validityDays: '',
  organization: '',
  owner: '',
  contact: '',
}

/** The form of a host that is there. */
export function draftOf(host: Host): Draft {
  const { tenant, name, tls, http, clusters, routes, certificate, owner, contact } = host
  return {
    ...{ tenant, name, http, clusters },
    mode: tls.mode,
    routes: routes.map(routeOf),
    uploaded: certificate.uploaded ?? '',
    authority: certificate.authority ?? '',
    keyAlgorithm: certificate.keyAlgorithm ?? '',
    validityDays: certificate.validityDays === undefined ? '' : String(certificate.validityDays),
    organization: certificate.organization ?? '',
    owner: owner ?? '',
    contact: contact ?? '',
  }
}

function routeOf(route: Host['routes'][number]): DraftRoute {
  const { match, to, ...others } = route
  const { prefix, exact, ...more } = match
  const isSimple =
    to !== undefined &&
    !Array.isArray(to) &&
    to.tls === undefined &&
    Object.keys(others).length === 0 &&
    Object.keys(more).length === 0
  if (!isSimple) return { kept: route }
  return {
    match: exact === undefined ? 'prefix' : 'exact',
    path: exact ?? prefix ?? '/',
    service: to.service,
    namespace: to.namespace,
    port: String(to.port),
  }
}

/** What is sent for a form. What the form has no fields for is as it was in `before`; what is empty is left to the
 *  service's defaults. */
export function specOf(draft: Draft, before?: HostSpec): HostSpec {
  const { mode, http, clusters, routes, owner, contact } = draft
  const certificate = certificateOf(draft, before)
  return {
    ...before,
    tls: { ...before?.tls, mode },
    http,
    ...(Object.keys(certificate).length > 0 ? { certificate } : {}),
    routes: routes.map((route) => ('kept' in route ? route.kept : simpleSpec(route))),
    clusters: [...clusters],
    ...(owner !== '' || before?.owner ? { owner: owner || null } : {}),
    ...(contact !== '' || before?.contact ? { contact: contact || null } : {}),
  }
}

const algorithms = [
  'ECDSA_P256',
  'ECDSA_P384',
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
  'ED25519',
] as const

function certificateOf(
  { uploaded, authority, keyAlgorithm, validityDays, organization }: Draft,
  before?: HostSpec,
): NonNullable<HostSpec['certificate']> {
  const algorithm = algorithms.find((each) => each === keyAlgorithm)
  const {
    organization: _,
    uploaded: _1,
    authority: _2,
    keyAlgorithm: _3,
    validityDays: _4,
    ...kept
  } = before?.certificate ?? {}
  if (uploaded !== '') return { ...kept, uploaded }
  return {
    ...kept,
    ...(authority === '' ? {} : { authority }),
    ...(algorithm ? { keyAlgorithm: algorithm } : {}),
    ...(validityDays === '' ? {} : { validityDays: Number(validityDays) }),
    ...(organization === '' ? {} : { organization }),
  }
}

function simpleSpec({ match, path, service, namespace, port }: SimpleRoute): RouteSpec {
  return {
    ...(match === 'prefix' && path === '/' ? {} : { match: { [match]: path } }),
    to: { service, namespace, port: Number(port) },
  }
}
