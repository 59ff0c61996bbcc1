import type { FastifyReply, FastifyRequest } from 'fastify'

/** Everything from here, and nothing inline. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

const guards = {
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

/** Has an answer under /console bear what keeps a browser from running, framing or telling others what it should not;
 *  by its route, since a path may be written in several ways, and by its path where there is no route. */
export function guardsConsole({ url, routeOptions }: FastifyRequest, reply: FastifyReply): void {
  const path = /^\/console(?:[/?]|$)/
  if (path.test(routeOptions.url ?? '') || path.test(url)) reply.headers(guards)
}
