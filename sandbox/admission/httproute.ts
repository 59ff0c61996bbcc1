import { STATUS_CODES } from 'node:http'
import { at, type Fields, fields, isFields, type Json, list, text, texts } from '../json.ts'

/** The rules for an http route of a VirtualService (pkg/config/validation/virtualservice.go), less those for
 *  its destinations. */
export function httpErrors(route: Json): readonly string[] {
  return [
    ...actionErrors(route),
    ...list(route, 'match').flatMap(matchErrors),
    ...headerErrors(route),
    ...corsErrors(at(route, 'corsPolicy')),
    ...redirectErrors(at(route, 'redirect')),
    ...retryErrors(at(route, 'retries')),
    ...rewriteErrors(route),
  ]
}

function actionErrors(route: Json): readonly string[] {
  const has = (name: string) => isFields(at(route, name))
  const routes = list(route, 'route').length > 0
  const errors: string[] = []
  if (has('redirect')) {
    if (routes) errors.push('HTTP route cannot contain both route and redirect')
    if (has('fault')) errors.push('HTTP route cannot contain both fault and redirect')
    if (has('rewrite')) errors.push('HTTP route rule cannot contain both rewrite and redirect')
    if (has('directResponse'))
      errors.push('HTTP route rule cannot contain both direct_response and redirect')
  } else if (has('directResponse')) {
    if (routes) errors.push('HTTP route cannot contain both route and direct_response')
    if (has('rewrite'))
      errors.push('HTTP route rule cannot contain both rewrite and direct_response')
  } else if (!routes && !has('delegate')) {
    errors.push('HTTP route, redirect or direct_response is required')
  }
  if (has('mirror') && list(route, 'mirrors').length > 0)
    errors.push('HTTP route cannot contain both mirror and mirrors')
  return errors
}

function matchErrors(match: Json): readonly string[] {
  const named = ['headers', 'withoutHeaders'].flatMap((where) =>
    Object.entries(fields(match, where)).flatMap(([name, each]) => [
      ...(headerName.test(name) || name.startsWith('@request.auth.claims')
        ? []
        : [`header name ${name} is not a valid header name`]),
      ...(where === 'withoutHeaders' && text(each, 'regex') === '*'
        ? []
        : stringErrors(each, where)),
    ]),
  )
  const uri = fields(match, 'uri')
  const regex = at(uri, 'regex')
  return [
    ...(Object.keys(uri).length > 1 ? ['uri match must have one of exact, prefix or regex'] : []),
    ...named,
    ...(typeof regex === 'string' ? expressionErrors(regex, 'uri') : []),
    ...['scheme', 'method', 'authority'].flatMap((where) => stringErrors(at(match, where), where)),
    ...Object.values(fields(match, 'queryParams')).flatMap((each) =>
      stringErrors(each, 'queryParams'),
    ),
  ]
}

function stringErrors(match: Json | undefined, where: string): readonly string[] {
  const [prefix, regex] = ['prefix', 'regex'].map((kind) => at(match, kind))
  if (prefix === '') return [`"${where}": prefix string match should not be empty`]
  return typeof regex === 'string' ? expressionErrors(regex, where) : []
}

/** As far as JavaScript can tell: what RE2 does not have is refused by its signs. */
function expressionErrors(source: string, where: string): readonly string[] {
  if (source === '') return [`"${where}": regex string match should not be empty`]
  if (Buffer.byteLength(source) > 1024)
    return [`"${where}": regex is too large, max length allowed is 1024`]
  const why = notRe2(source)
  const hint = 'Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)'
  return why === undefined ? [] : [`"${where}": error parsing regexp: ${why}; ${hint}`]
}

function notRe2(source: string): string | undefined {
  const perl = /\(\?<?[=!]/.exec(source.replaceAll('\\(', '  '))?.[0]
  if (perl !== undefined) return `invalid or unsupported Perl syntax: \`${perl}\``
  const sequence = /(?:^|[^\\])(?:\\\\)*(\\[1-9k])/.exec(source)?.[1]
  if (sequence !== undefined) return `invalid escape sequence: \`${sequence}\``
  try {
    const spelt = source.replaceAll('(?P<', '(?<').replace(/^\(\?[imsU]+\)/, '')
    return new RegExp(spelt).source === '' ? 'empty' : undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const headerName = /^(:(method|scheme|authority|path|status)|[!#$%&'*+.^_`|~0-9A-Za-z-]+)$/

function headerErrors(route: Json): readonly string[] {
  return ['request', 'response'].flatMap((way) => {
    const changes = fields(route, 'headers', way)
    const changed = ['add', 'set'].flatMap((kind) => Object.entries(fields(changes, kind)))
    return [
      ...changed.flatMap(([name, value]) => [
        ...(way === 'request' && /^(host|:authority)$/i.test(name) ? [] : nameErrors(name)),
        ...valueErrors(String(value)),
      ]),
      ...texts(changes, 'remove').flatMap(nameErrors),
    ]
  })
}

function nameErrors(name: string): readonly string[] {
  if (name === '') return ['header name cannot be empty']
  if (name.toLowerCase() === 'host') return [`invalid header "${name}": cannot set Host header`]
  return name.startsWith(':') ? [`invalid header "${name}": header cannot have ":" prefix`] : []
}

function valueErrors(value: string): readonly string[] {
  const plain = value.replaceAll('%%', '')
  return /%/.test(plain.replace(/%[A-Z0-9_]+(\([^)]*\))?(:\d+)?%/g, ''))
    ? ['header value configuration: invalid header configuration. Un-escaped %']
    : []
}

const corsMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE']

function corsErrors(policy: Json | undefined): readonly string[] {
  const origins = list(policy, 'allowOrigins').flatMap((origin) => {
    const said = ['exact', 'prefix', 'regex'].map((kind) => text(origin, kind)).join('')
    if (said === '') return [`'' is not a valid match type for CORS allow origins`]
    const regex = at(origin, 'regex')
    return typeof regex === 'string' ? expressionErrors(regex, 'corsPolicy.allowOrigins') : []
  })
  const methods = texts(policy, 'allowMethods').filter(
    (method) => ![...corsMethods, '*'].includes(method),
  )
  const names = ['allowHeaders', 'exposeHeaders'].flatMap((where) => texts(policy, where))
  return [
    ...origins,
    ...methods.map((method) => `"${method}" is not a supported HTTP method`),
    ...names
      .filter((name) => !headerName.test(name))
      .map((name) => `header name ${name} is not a valid header name`),
    ...(/\dms$/.test(text(policy, 'maxAge'))
      ? ['max_age duration is accurate only to seconds precision']
      : []),
  ]
}

function redirectErrors(redirect: Json | undefined): readonly string[] {
  if (!isFields(redirect)) return []
  const scheme = text(redirect, 'scheme')
  const says = ['uri', 'authority', 'scheme'].some((name) => text(redirect, name) !== '')
  if (!says && at(redirect, 'port') === undefined && at(redirect, 'derivePort') === undefined)
    return ['redirect must specify URI, authority, scheme, or port']
  const code = Number(at(redirect, 'redirectCode') ?? 0)
  if (code !== 0 && (code < 300 || code > 399))
    return [`${code} is not a valid redirect code, must be 3xx`]
  return ['', 'http', 'https'].includes(scheme)
    ? []
    : ['invalid redirect scheme, must be "http" or "https"']
}

const retryOn = [
  ['5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'retriable-4xx'],
  ['refused-stream', 'retriable-status-codes', 'retriable-headers', 'envoy-ratelimited'],
  ['http3-post-connect-failure', 'cancelled', 'deadline-exceeded', 'internal'],
  ['resource-exhausted', 'unavailable'],
].flat()

function retryErrors(retries: Json | undefined): readonly string[] {
  if (!isFields(retries)) return []
  const attempts = Number(at(retries, 'attempts') ?? 0)
  const idle = ['perTryTimeout', 'retryOn', 'retryRemoteLocalities'].some(
    (name) => at(retries, name) !== undefined,
  )
  const words = text(retries, 'retryOn')
    .split(',')
    .filter((word) => word !== '')
  return [
    ...(attempts < 0 ? ['attempts cannot be negative'] : []),
    ...(attempts === 0 && idle
      ? ['http retry policy configured when attempts are set to 0 (disabled)']
      : []),
    ...words
      .filter((word) => !retryOn.includes(word) && STATUS_CODES[word] === undefined)
      .map((word) => `"${word}" is not a valid retryOn policy`),
  ]
}

function rewriteErrors(route: Json): readonly string[] {
  const rewrite = at(route, 'rewrite')
  if (!isFields(rewrite)) return []
  const [uri, authority] = [text(rewrite, 'uri'), text(rewrite, 'authority')]
  const regex = at(rewrite, 'uriRegexRewrite')
  if (uri && isFields(regex)) return ['rewrite may only contain one of URI or UriRegexRewrite']
  if (!uri && !authority && !isFields(regex)) {
    return [
      'rewrite must specify at least one of URI, UriRegexRewrite, or authority. Only one of URI or UriRegexRewrite may be specified',
    ]
  }
  const twice = authoritySet(route).find((value) => authority && value !== '')
  return [
    ...(isFields(regex) ? substitutionErrors(regex) : []),
    ...(twice === undefined
      ? []
      : [
          `authority header cannot be set multiple times: have "${authority}", attempting to set "${twice}"`,
        ]),
  ]
}

function authoritySet(route: Json): readonly string[] {
  const changes = fields(route, 'headers', 'request')
  const all = ['set', 'add'].flatMap((kind) => Object.entries(fields(changes, kind)))
  return all.filter(([name]) => /^(host|:authority)$/i.test(name)).map(([, value]) => String(value))
}

function substitutionErrors(regex: Fields): readonly string[] {
  const match = text(regex, 'match')
  const faults =
    match === '' || text(regex, 'rewrite') === ''
      ? ['UriRegexRewrite requires both Rewrite and Match fields to be specified']
      : expressionErrors(match, 'HTTPRewrite.UriRegexRewrite.Match')
  return faults.map((fault) => `UriRegexRewrite has errors\n${fault}`)
}
