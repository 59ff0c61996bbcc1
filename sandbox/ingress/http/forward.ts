import { request as askPlainly, type IncomingMessage, type ServerResponse } from 'node:http'
import { request as askSecurely } from 'node:https'
import { at, type Fields, fields, text } from '../../json.ts'
import type { Destination, Route } from '../routes.ts'
import type { Upstreams } from '../upstreams.ts'
import { changeHeaders } from './answer.ts'
import { expression, pathOf } from './match.ts'

/** A request on its way to a backend: what the backend is to see of it. */
export type Onward = {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string | string[] | undefined>
}

/** What a route does to the request before its backend sees it. */
export function rewritten(route: Fields, match: Fields | undefined, onward: Onward): Onward {
  const headers = { ...onward.headers }
  const rewrite = fields(route, 'rewrite')
  const url = rewrittenUrl(rewrite, match, onward.url)
  if (url !== onward.url) headers['x-envoy-original-path'] = onward.url
  const authority = text(rewrite, 'authority')
  if (authority) {
    headers['x-envoy-original-host'] = headers.host
    headers.host = authority
  }
  changeHeaders(fields(route, 'headers', 'request'), headers)
  return { ...onward, url, headers }
}

/** `uri` takes the place of the prefix that was matched, or of the whole path. */
function rewrittenUrl(rewrite: Fields, match: Fields | undefined, url: string): string {
  const path = pathOf(url)
  const query = url.slice(path.length)
  const pattern = text(rewrite, 'uriRegexRewrite', 'match')
  if (pattern) {
    const substitute = text(rewrite, 'uriRegexRewrite', 'rewrite')
    const spelt = substitute
      .replaceAll('$', '$$$$')
      .replace(/\\(\d)/g, '$$$1')
      .replaceAll('\\\\', '\\')
    return path.replace(expression(pattern, 'g'), spelt) + query
  }
  const uri = text(rewrite, 'uri')
  if (!uri) return url
  const whole = at(match, 'uri', 'exact') !== undefined || at(match, 'uri', 'regex') !== undefined
  const prefix = text(match, 'uri', 'prefix') || '/'
  return (whole ? uri : uri + path.slice(prefix.length)) + query
}

/** One try at a backend: the head of its answer, or why there is none. */
type Tried =
  | { readonly answer: IncomingMessage }
  | { readonly failure: 'connect' | 'reset' | 'timeout' | 'unhealthy' | 'unknown' }

const bodyLimit = 1024 * 1024

/** Brings the request to one of the route's destinations and its answer back, with the retries and within
 *  the time that the route gives. `finish` has the last word about the headers of the answer. */
export async function forward(
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  { route, onward }: { readonly route: Route; readonly onward: Onward },
  {
    upstreams,
    finish,
  }: { readonly upstreams: Upstreams; readonly finish: (headers: Onward['headers']) => void },
): Promise<void> {
  const body = await bodyOf(request)
  const deadline =
    performance.now() + (milliseconds(text(route.spec, 'timeout')) || Number.MAX_SAFE_INTEGER)
  const { attempts, perTry, retries } = policyOf(route.spec)
  for (let tries = 0; ; tries += 1) {
    const left = deadline - performance.now()
    const headers = { ...onward.headers, 'x-envoy-attempt-count': String(tries + 1) }
    const tried = await ask(
      upstreams,
      { ...onward, headers },
      {
        to: chosen(route.destinations),
        body,
        patience: Math.min(left, perTry || left),
      },
    )
    const again = tries < attempts && deadline > performance.now() && retries(tried)
    if (again) {
      if ('answer' in tried) tried.answer.resume()
      continue
    }
    if (response.destroyed) {
      if ('answer' in tried) tried.answer.destroy()
      return
    }
    if ('answer' in tried) pass(tried.answer, response, finish)
    else refuse(tried.failure, response, finish)
    return
  }
}

/** The body, so that it may be sent again. */
async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += chunk.length
    if (length > bodyLimit) throw new Error('the sandbox forwards bodies of a megabyte at most')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** By chance, each by its weight. */
function chosen(destinations: Route['destinations']): Destination | undefined {
  const [only] = destinations
  if (destinations.length === 1) return only?.to
  const sum = destinations.reduce((all, { weight }) => all + weight, 0)
  let at = Math.random() * sum
  for (const { to, weight } of destinations) {
    at -= weight
    if (at < 0) return to
  }
  return undefined
}

function ask(
  upstreams: Upstreams,
  { method, url, headers }: Onward,
  {
    to,
    body,
    patience,
  }: { readonly to: Destination | undefined; readonly body: Buffer; readonly patience: number },
): Promise<Tried> {
  const upstream = to ? upstreams.find(to) : ({ kind: 'unknown' } as const)
  if (!('port' in upstream)) return Promise.resolve({ failure: upstream.kind })
  const { 'transfer-encoding': _, ...kept } = headers
  const sent = { ...kept, ...(body.length > 0 ? { 'content-length': String(body.length) } : {}) }
  const place = {
    host: '127.0.0.1',
    port: upstream.port,
    method,
    path: url,
    headers: sent,
    agent: false,
  }
  return new Promise((resolve) => {
    const out =
      upstream.origination === undefined
        ? askPlainly(place)
        : askSecurely({ ...place, ...upstream.origination })
    const late = setTimeout(
      () => {
        resolve({ failure: 'timeout' })
        out.destroy()
      },
      Math.min(patience, 2 ** 31 - 1),
    )
    let connected = false
    out.once('socket', (socket) => socket.once('connect', () => (connected = true)))
    out.once('response', (answer) => {
      answer.once('close', () => clearTimeout(late))
      resolve({ answer })
    })
    out.once('error', () => {
      clearTimeout(late)
      resolve({ failure: connected ? 'reset' : 'connect' })
    })
    out.end(body)
  })
}

function pass(
  answer: IncomingMessage,
  response: ServerResponse,
  finish: (headers: Onward['headers']) => void,
): void {
  const headers: Onward['headers'] = { ...answer.headers }
  for (const name of ['connection', 'keep-alive', 'transfer-encoding']) delete headers[name]
  headers['x-envoy-upstream-service-time'] = '0'
  finish(headers)
  response.writeHead(answer.statusCode ?? 502, headers)
  answer.once('error', () => response.destroy())
  // Who asked may be gone before the end.
  response.once('close', () => answer.destroy())
  answer.pipe(response)
}

const refusals = {
  connect: [503, 'upstream connect error or disconnect/reset before headers'],
  reset: [503, 'upstream connect error or disconnect/reset before headers'],
  timeout: [504, 'upstream request timeout'],
  unhealthy: [503, 'no healthy upstream'],
  unknown: [503, ''],
} as const

function refuse(
  failure: keyof typeof refusals,
  response: ServerResponse,
  finish: (headers: Onward['headers']) => void,
): void {
  const [status, body] = refusals[failure]
  const headers: Onward['headers'] = { 'content-type': 'text/plain' }
  finish(headers)
  response.writeHead(status, headers).end(body)
}

/** Without a policy Istio tries twice more, where the backend has not seen the request. */
function policyOf(route: Fields) {
  const policy = at(route, 'retries')
  const words = text(policy, 'retryOn') || 'connect-failure,refused-stream,unavailable,cancelled'
  const on = words.split(',')
  return {
    attempts: policy === undefined ? 2 : Number(at(policy, 'attempts') ?? 0),
    perTry: milliseconds(text(policy, 'perTryTimeout')),
    retries: (tried: Tried) =>
      'answer' in tried ? after(tried.answer.statusCode ?? 0, on) : without(tried.failure, on),
  }
}

function after(status: number, on: readonly string[]): boolean {
  return (
    on.includes(String(status)) ||
    (on.includes('5xx') && status >= 500) ||
    (on.includes('gateway-error') && [502, 503, 504].includes(status)) ||
    (on.includes('retriable-4xx') && status === 409)
  )
}

function without(failure: string, on: readonly string[]): boolean {
  const any = on.includes('5xx') || on.includes('gateway-error')
  if (failure === 'connect') return any || on.includes('connect-failure') || on.includes('reset')
  return any || on.includes('reset')
}

/** `1.5s` → 1500; 0 for nothing. */
function milliseconds(duration: string): number {
  const parts = [...duration.matchAll(/([\d.]+)(ms|s|m|h)/g)]
  return parts.reduce(
    (sum, [, count = '0', unit = 's']) => sum + Number(count) * (units.get(unit) ?? 0),
    0,
  )
}

const units = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
])
