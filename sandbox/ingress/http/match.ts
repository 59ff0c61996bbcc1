import { at, type Fields, fields, isFields, list, text } from '../../json.ts'

/** What of a request decides which route takes it; header names are in lower case. */
export type Asked = {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly secure: boolean
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

const understood = [
  ['name', 'uri', 'scheme', 'method', 'authority', 'headers', 'withoutHeaders', 'queryParams'],
  ['port', 'gateways', 'ignoreUriCase', 'statPrefix'],
].flat()

/** Does a match of a VirtualService's http route hold for the request? One with members that the sandbox
 *  does not know never does. */
export function holds(match: Fields, asked: Asked): boolean {
  if (Object.keys(match).some((name) => !understood.includes(name))) return false
  const { method, url, secure, headers } = asked
  const path = pathOf(url)
  const given = (name: string) => headerOf(headers, name)
  const caseless = at(match, 'ignoreUriCase') === true
  return (
    fits(lowered(at(match, 'uri'), caseless), caseless ? path.toLowerCase() : path) &&
    fits(at(match, 'method'), method) &&
    fits(at(match, 'scheme'), secure ? 'https' : 'http') &&
    fits(at(match, 'authority'), given('host')) &&
    Object.entries(fields(match, 'headers')).every(([name, each]) => fits(each, given(name))) &&
    Object.entries(fields(match, 'withoutHeaders')).every(
      ([name, each]) => !fits(each, isPresence(each) ? given(name) : (given(name) ?? '')),
    ) &&
    Object.entries(fields(match, 'queryParams')).every(([name, each]) =>
      fits(each, parameterOf(url, name)),
    )
  )
}

/** Is it one that every request meets: without headers and parameters, for every path? */
export function holdsForAll(match: Fields): boolean {
  const others = Object.keys(match).filter(
    (name) => !['name', 'uri', 'port', 'gateways'].includes(name),
  )
  const uri = at(match, 'uri')
  const everyPath = uri === undefined || text(uri, 'prefix') === '/' || text(uri, 'regex') === '.*'
  return others.length === 0 && everyPath
}

/** The path without the query. */
export function pathOf(url: string): string {
  return url.split('?')[0] ?? ''
}

/** A StringMatch; one that says nothing, or `*` as a regular expression, is met by presence. */
export function fits(match: Fields[string] | undefined, value: string | undefined): boolean {
  if (match === undefined) return true
  if (value === undefined) return false
  if (isPresence(match)) return true
  const [exact, prefix, regex] = ['exact', 'prefix', 'regex'].map((kind) => at(match, kind))
  if (typeof exact === 'string') return value === exact
  if (typeof prefix === 'string') return value.startsWith(prefix)
  return typeof regex === 'string' && expression(`^(?:${regex})$`).test(value)
}

function isPresence(match: Fields[string]): boolean {
  return isFields(match) && (Object.keys(match).length === 0 || text(match, 'regex') === '*')
}

function lowered(match: Fields[string] | undefined, caseless: boolean) {
  if (!caseless || !isFields(match)) return match
  return Object.fromEntries(Object.entries(match).map(([k, v]) => [k, String(v).toLowerCase()]))
}

/** RE2's syntax as JavaScript reads it, as far as they differ in spelling only. What it cannot read matches
 *  nothing. */
export function expression(source: string, flags = ''): RegExp {
  const spelt = source
    .replaceAll('(?P<', '(?<')
    .replaceAll('\\A', '^')
    .replaceAll('\\z', '$')
    .replace(/^\^\(\?:\(\?i\)(.*)\)\$$/s, '^(?i:$1)$')
  for (const each of [`${flags}u`, flags]) {
    try {
      return new RegExp(spelt, each)
    } catch {
      // Without u there are fewer rules.
    }
  }
  return /(?!)/
}

/** The value of a header, several in one as HTTP joins them. */
export function headerOf(headers: Asked['headers'], name: string): string | undefined {
  const value = headers[name.toLowerCase()]
  return typeof value === 'string' || value === undefined ? value : value.join(',')
}

function parameterOf(url: string, wanted: string): string | undefined {
  const query = url.split('?').slice(1).join('?')
  const pairs = query.split('&').map((pair) => {
    const [name = '', ...value] = pair.split('=')
    return [name, value.join('=')] as const
  })
  return pairs.find(([name]) => name === wanted && query !== '')?.[1]
}

/** The matches of a route, each an object. */
export function matchesOf(route: Fields): readonly Fields[] {
  return list(route, 'match').filter(isFields)
}

/** The target of a request as Envoy reads it under Istio's normalization BASE, before it is matched and
 *  forwarded (RFC 3986 6.2.2): backslashes are slashes, what need not be encoded is not, dot segments are
 *  resolved, with parameters behind them, too; encoded slashes and repeated ones stay. Undefined: refused. */
export function normalized(target: string): string | undefined {
  // In absolute form it is not read here, and no route takes it.
  if (/^https?:\/\//i.test(target)) return target
  const [whole = ''] = target.split('#')
  const mark = whole.indexOf('?')
  const path = mark < 0 ? whole : whole.slice(0, mark)
  const query = mark < 0 ? '' : whole.slice(mark)
  if (!path.startsWith('/') || /%00|%(?![0-9a-f]{2})/i.test(path)) return undefined
  const normalizedNames = path
    .replaceAll('\\', '/')
    .replaceAll(/%[0-9a-f]{2}/gi, decoded)
    .replaceAll(/["<>`{}|^]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)
  return withoutDots(normalizedNames) + query
}

/** Unreserved characters (RFC 3986 2.3) stand for themselves. */
function decoded(encoded: string): string {
  const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(character) ? character : encoded
}

function withoutDots(path: string): string {
  const segments = path.split('/').slice(1)
  const kept: string[] = []
  for (const [index, segment] of segments.entries()) {
    const dots = /^(\.\.?)(;.*)?$/.exec(segment)?.[1]
    if (dots === '..') kept.pop()
    if (dots === undefined) kept.push(segment)
    else if (index === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}
