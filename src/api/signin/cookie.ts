import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../shared/problem.ts'
import { isForeign } from './origin.ts'

/** A cookie's two names: by TLS one that no other host, path or plain connection can write (RFC 6265bis 4.1.3.2). */
type CookieNames = { readonly secure: `__Host-${string}`; readonly plain: string }

const session = { secure: '__Host-gatesmith', plain: 'gatesmith-console' } as const
const flow = { secure: '__Host-gatesmith-oidc', plain: 'gatesmith-console-oidc' } as const

/** What the session's cookie of a request holds; undefined: there is none, or more than one, which another host of this
 *  domain must have written. */
export function sessionToken(request: FastifyRequest): string | undefined {
  return readCookie(request, session)
}

/** Has a browser keep a session's token until it is closed, for no script and for no other site; null: forget it. */
export function keepSession(
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  token: string | null,
): void {
  const more = ['SameSite=Strict', ...(token === null ? ['Max-Age=0'] : [])]
  reply.header('set-cookie', cookieText(request, session, [token ?? '', ...more]))
}

/** What a browser was given when it was sent to an identity provider. */
export function flowIn(request: FastifyRequest): string | undefined {
  return readCookie(request, flow)
}

/** Has a browser keep what it is to bring back from an identity provider, for so many seconds; 0: forget it. It comes back
 *  by a link of the provider's page, with which a Strict cookie is not sent. */
export function keepFlow(
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  { text, seconds }: { readonly text: string; readonly seconds: number },
): void {
  const more = ['SameSite=Lax', `Max-Age=${seconds}`]
  reply.header('set-cookie', cookieText(request, flow, [text, ...more]))
}

function readCookie({ headers, protocol }: FastifyRequest, names: CookieNames): string | undefined {
  const name = protocol === 'https' ? names.secure : names.plain
  const found = (headers.cookie ?? '').split(';').flatMap((pair) => {
    const [key = '', ...value] = pair.split('=')
    return key.trim() === name ? [value.join('=').trim()] : []
  })
  const [only] = found
  return found.length === 1 && only !== '' ? only : undefined
}

function cookieText(
  { protocol }: FastifyRequest,
  { secure, plain }: CookieNames,
  [value, ...attributes]: readonly string[],
): string {
  const isSecure = protocol === 'https'
  const all = ['Path=/', 'HttpOnly', ...(isSecure ? ['Secure'] : []), ...attributes]
  return [`${isSecure ? secure : plain}=${value}`, ...all].join('; ')
}

/** What a page that is signed in by this token sends as X-CSRF-Token: it shows that it could read an answer of ours. It
 *  tells nothing of the token. */
export function csrfTokenOf(token: string): string {
  return createHmac('sha256', token).update('gatesmith csrf').digest('base64url')
}

/** A browser sends its cookie whoever made it ask: refuses what a page of another origin sent, and a change without the
 *  token that only ours can know. Throws csrf-refused. */
export function refuseForgery(request: FastifyRequest, token: string): void {
  const { headers, method } = request
  // Browsers tell the origin of each WebSocket.
  const unknown = request.ws && (headers.origin ?? headers['sec-fetch-site']) === undefined
  if (unknown || isForeign(request)) throw foreign()
  if (method === 'GET' || method === 'HEAD') return
  const shown = headers['x-csrf-token']
  const [sent, wanted] = [Buffer.from(String(shown ?? '')), Buffer.from(csrfTokenOf(token))]
  if (sent.length === wanted.length && timingSafeEqual(sent, wanted)) return
  throw new Problem(
    'csrf-refused',
    'Who is signed in by a cookie sends X-CSRF-Token with each change: the csrfToken of GET /console/session',
  )
}

/** The refusal of what a page of another origin sent. */
export function foreign(): Problem {
  return new Problem(
    'csrf-refused',
    'Only pages of this service are signed in by its cookie: send Authorization instead. Behind a proxy, have it pass Host on',
  )
}
