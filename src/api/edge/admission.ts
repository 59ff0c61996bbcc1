import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { noteSignIn } from '../../audit/access.ts'
import { type Actor, allow, allowPlatform, allowScope, type Permission } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { authenticate, authenticateCertificate } from '../../tenants/apikeys/authenticate.ts'
import { authenticateSession } from '../../tenants/sessions/lifecycle.ts'
import { scopeOfRoute } from '../scopes.ts'
import { shownCertificate } from '../signin/certificate.ts'
import { refuseForgery, sessionToken } from '../signin/cookie.ts'
import { isSigned, signIn } from '../signin/oidc.ts'
import { limitActor, limitFailures } from './ratelimit.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the role of the API key must allow. */
    readonly needs?: Permission
    /** The key must be platform-wide too. */
    readonly platform?: boolean
    /** The key may also come as the password of Basic credentials, as calendars send them. */
    readonly basic?: boolean
    /** Scopes are not asked for here: what is answered asks for them field by field, or is the caller's
     *  own. */
    readonly anyScope?: boolean
  }
}

const actors = new WeakMap<FastifyRequest, Actor>()

/** Has every route that is registered here afterwards admit whom it `needs`, before anything of the
 *  body is read. Actions ask again, with the tenant in hand; what no role could do ends here. A route
 *  that does not say what it needs is not served: that throws when it is registered. */
export function admission(api: FastifyInstance, ctx: Context): void {
  api.addHook('onRoute', ({ method, url, config }: RouteOptions) => {
    if (config?.needs === undefined) throw new Error(`${method} ${url} does not say what it needs`)
  })
  api.addHook('onRequest', async (request, reply) => {
    const actor = await identify(ctx, request, { again: false })
    admitted(ctx, { request, reply }, actor)
    allowRoute(actor, request)
  })
}

/** Has it told of a request who asks, also of one that is refused, and counted. Throws rate-limited. */
export function admitted(
  ctx: Context,
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  actor: Actor,
): void {
  actors.set(request, actor)
  noteSignIn(ctx, actor, request.ip)
  limitActor(ctx, actor, reply)
}

function allowRoute(actor: Actor, request: FastifyRequest): void {
  const { config, url = '' } = request.routeOptions
  const { needs = 'read', platform = false, anyScope = false } = config
  if (platform) allowPlatform(actor, needs)
  else allow(actor, needs)
  if (!anyScope) allowScope(actor, scopeOfRoute(url, needs))
}

/** Who asks, once more, for an answer that takes long: throws as admission does for credentials that are no longer
 *  good. */
export async function stillAdmitted(ctx: Context, request: FastifyRequest): Promise<Actor> {
  const actor = await identify(ctx, request, { again: true })
  allowRoute(actor, request)
  return actor
}

/** Who asks, as told by `Authorization: Bearer <token>` (RFC 6750 2.1), by the cookie of the console, or by a client
 *  certificate. Throws credentials-missing, credentials-refused, csrf-refused, rate-limited. */
async function identify(
  ctx: Context,
  request: FastifyRequest,
  { again }: { readonly again: boolean },
): Promise<Actor> {
  const token = tokenOf(request)
  const from = { requestId: request.id, address: request.ip }
  if (token === undefined) {
    const session = request.headers.authorization === undefined ? sessionToken(request) : undefined
    if (session === undefined) return identifyByCertificate(ctx, request, from)
    refuseForgery(request, session)
    return limitFailures(ctx, { request, token: session }, () =>
      authenticateSession(ctx, { token: session, ...from }, { again }),
    )
  }
  const asked = { token, ...from }
  const { oidc } = ctx.config
  return limitFailures(ctx, { request, token }, () =>
    oidc && isSigned(token) ? signIn(ctx, oidc, asked) : authenticate(ctx, asked),
  )
}

/** Who shows a client certificate, and sends no credentials beside it. */
function identifyByCertificate(
  ctx: Context,
  request: FastifyRequest,
  from: { readonly requestId: string; readonly address: string },
): Promise<Actor> {
  const { authorization } = request.headers
  const fingerprint = authorization === undefined ? shownCertificate(ctx, request) : undefined
  if (fingerprint === undefined) {
    throw new Problem('credentials-missing', 'Send Authorization: Bearer <API key>')
  }
  const token = fingerprint.toString('hex')
  return limitFailures(ctx, { request, token }, () =>
    authenticateCertificate(ctx, { fingerprint, ...from }),
  )
}

const tokenText = '([A-Za-z0-9._~+/-]{1,8192}=*)'
const bearer = new RegExp(`^Bearer ${tokenText}$`, 'i')
const password = new RegExp(`^[^:]*:${tokenText}$`)

function tokenOf({ headers, routeOptions }: FastifyRequest): string | undefined {
  const { authorization = '' } = headers
  const [, token] = bearer.exec(authorization) ?? []
  if (token !== undefined || routeOptions.config.basic !== true) return token
  const [, basic = ''] = /^Basic ([A-Za-z0-9+/]{1,12000}={0,2})$/i.exec(authorization) ?? []
  const pair = Buffer.from(basic, 'base64').toString('latin1')
  return password.exec(pair)?.[1]
}

/** Remembers who asks where that was found out otherwise, for the log and the audit trail. */
export function noteAsker(request: FastifyRequest, actor: Actor): void {
  actors.set(request, actor)
}

/** Who asks, also where that one may not; undefined while nobody knows. */
export function askerOf(request: FastifyRequest): Actor | undefined {
  return actors.get(request)
}

/** The actor of a request that has been admitted. */
export function actorOf(request: FastifyRequest): Actor {
  const actor = askerOf(request)
  if (!actor) throw new Error(`${request.url} is served without asking who asks`)
  return actor
}
