import { at, type Fields, fields, list, text, texts } from '../../json.ts'
import { type Asked, fits, headerOf, pathOf } from './match.ts'

/** An answer that the gateway makes itself. */
export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** Where a redirect of a VirtualService sends the request, as Envoy writes it: what is not said stays, the
 *  query in any case. */
export function redirection(redirect: Fields, { headers, url, secure }: Asked): Answer {
  const written = headerOf(headers, 'host') ?? ''
  const scheme = text(redirect, 'scheme') || (secure ? 'https' : 'http')
  const host = text(redirect, 'authority') || written
  const port = at(redirect, 'port')
  const usual = scheme === 'https' ? 443 : 80
  const authority =
    typeof port !== 'number'
      ? host.replace(secure === (scheme === 'https') ? /$^/ : /:(80|443)$/, '')
      : `${host.replace(/:\d+$/, '')}${port === usual ? '' : `:${port}`}`
  const path = text(redirect, 'uri') || pathOf(url)
  const query = path.includes('?') ? '' : url.slice(pathOf(url).length)
  const status = Number(at(redirect, 'redirectCode') ?? 301)
  return { status, headers: { location: `${scheme}://${authority}${path}${query}` } }
}

/** What a route's corsPolicy does to a request of a page of another origin. */
export type Cors = {
  /** The answer to a preflight. */
  readonly preflight?: Answer
  /** What goes with the answer of the route. */
  readonly headers: Readonly<Record<string, string>>
}

/** As Envoy's filter: an origin that is not allowed is passed on as if there were no policy. */
export function cors(policy: Fields, { method, headers }: Asked): Cors {
  const origin = headerOf(headers, 'origin')
  const allowed = list(policy, 'allowOrigins').some(
    (each) => text(each, 'exact') === '*' || fits(each, origin),
  )
  if (origin === undefined || !allowed) return { headers: {} }
  const credentials: Readonly<Record<string, string>> =
    at(policy, 'allowCredentials') === true ? { 'access-control-allow-credentials': 'true' } : {}
  const common = {
    'access-control-allow-origin': origin,
    ...credentials,
    ...joined('access-control-expose-headers', texts(policy, 'exposeHeaders')),
  }
  if (method !== 'OPTIONS' || !headerOf(headers, 'access-control-request-method')) {
    return { headers: common }
  }
  const seconds = /^(\d+)([smh])$/.exec(text(policy, 'maxAge'))
  const age = Number(seconds?.[1] ?? 0) * ({ s: 1, m: 60, h: 3600 }[seconds?.[2] ?? 's'] ?? 1)
  const preflight = {
    ...common,
    ...joined('access-control-allow-methods', texts(policy, 'allowMethods')),
    ...joined('access-control-allow-headers', texts(policy, 'allowHeaders')),
    ...(seconds ? { 'access-control-max-age': String(age) } : {}),
  }
  return { preflight: { status: 200, headers: preflight }, headers: common }
}

function joined(name: string, values: readonly string[]): Readonly<Record<string, string>> {
  return values.length > 0 ? { [name]: values.join(',') } : {}
}

type Headers = Record<string, string | string[] | undefined>

/** What the `request` or `response` part of a route's headers does to them, as Envoy: taken away first, then
 *  set, then added. `%%` is a percent sign; variables stay as they are written. */
export function changeHeaders(change: Fields, headers: Headers): void {
  for (const name of texts(change, 'remove')) delete headers[name.toLowerCase()]
  for (const [name, value] of Object.entries(fields(change, 'set'))) {
    headers[name.toLowerCase()] = literal(String(value))
  }
  for (const [name, value] of Object.entries(fields(change, 'add'))) {
    const before = headers[name.toLowerCase()]
    const all = [...(before === undefined ? [] : [before].flat()), literal(String(value))]
    headers[name.toLowerCase()] = all.length === 1 ? all[0] : all
  }
}

function literal(value: string): string {
  return value.replaceAll('%%', '%')
}
