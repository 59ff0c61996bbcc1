import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, Timestamp } from '../../shared/schema.ts'
import { timestamp } from '../../shared/view.ts'
import { authenticateHash } from '../../tenants/apikeys/authenticate.ts'
import { tokenHash } from '../../tenants/apikeys/token.ts'
import { redeemCode } from '../../tenants/sessions/codes.ts'
import { authenticateSession, beginSession, endSession } from '../../tenants/sessions/lifecycle.ts'
import type { Api } from '../api.ts'
import { admitted } from '../edge/admission.ts'
import { limitFailures } from '../edge/ratelimit.ts'
import { csrfTokenOf, foreign, keepSession, refuseForgery, sessionToken } from '../signin/cookie.ts'
import { isForeign } from '../signin/origin.ts'

const secret = Type.Optional(Type.String({ minLength: 1, maxLength: 256 }))

/** By what a browser is signed in: the token of an API key, or the code of a link. */
const SignInRequest = closed(
  { apiKey: secret, code: secret },
  { minProperties: 1, maxProperties: 1 },
)

const Session = Type.Union([
  closed({
    signedIn: Type.Literal(true),
    csrfToken: Type.String({ description: 'To be sent as X-CSRF-Token with each change' }),
    expiresAt: Timestamp,
    oidc: Type.Boolean(),
  }),
  closed({
    signedIn: Type.Literal(false),
    oidc: Type.Boolean({ description: 'Whether GET /console/oidc/start leads to a provider' }),
  }),
])
type Session = Type.Static<typeof Session>

/** /console/session: signing in and out by a cookie, for the console alone. Who is signed in is asked of /v1/whoami, as by
 *  everybody. */
export function consoleSession(api: Api, ctx: Context): void {
  const hide = true
  api.get(
    '/console/session',
    { schema: { hide, response: { 200: Session } } },
    async (request, reply) => sessionOf(ctx, request, reply),
  )
  api.post(
    '/console/session',
    {
      bodyLimit: 4096,
      config: { problems: ['csrf-refused', 'credentials-refused', 'rate-limited'] },
      schema: { hide, body: SignInRequest, response: { 200: Session } },
    },
    async (request, reply) => {
      // Nobody is signed in as somebody else by a page of theirs.
      if (isForeign(request)) throw foreign()
      const { by, keyHash, actor } = await known(ctx, request, request.body)
      admitted(ctx, { request, reply }, actor)
      await leaveSession(ctx, request)
      const { ip: address } = request
      const { token, expiresAt } = await beginSession(ctx, actor, { by, keyHash, address })
      keepSession({ request, reply }, token)
      return shownSession(ctx, token, timestamp(expiresAt))
    },
  )
  api.delete(
    '/console/session',
    {
      config: { problems: ['csrf-refused'] },
      schema: { hide, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      const token = sessionToken(request)
      if (token !== undefined) refuseForgery(request, token)
      await leaveSession(ctx, request)
      keepSession({ request, reply }, null)
      reply.code(204)
      return null
    },
  )
}

/** Who signs in by this. Throws credentials-refused, rate-limited. */
async function known(
  ctx: Context,
  request: FastifyRequest,
  { apiKey, code }: Type.Static<typeof SignInRequest>,
) {
  const from = { requestId: request.id, address: request.ip }
  const by = apiKey === undefined ? 'code' : 'api-key'
  const token = apiKey ?? code ?? ''
  return limitFailures(ctx, { request, token }, async () => {
    const keyHash = by === 'code' ? await redeemCode(ctx, token) : tokenHash(token)
    const actor = await authenticateHash(ctx, { hash: keyHash, ...from })
    return { by, keyHash, actor } as const
  })
}

async function sessionOf(
  ctx: Context,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Session> {
  const token = isForeign(request) ? undefined : sessionToken(request)
  const actor = token === undefined ? undefined : await signedIn(ctx, request, token)
  if (token !== undefined && actor) return shownSession(ctx, token, actor.expiresAt)
  if (token !== undefined) keepSession({ request, reply }, null)
  return { signedIn: false, oidc: asksProvider(ctx) }
}

function shownSession(ctx: Context, token: string, expiresAt: string): Session {
  const csrfToken = csrfTokenOf(token)
  return { signedIn: true, csrfToken, expiresAt, oidc: asksProvider(ctx) }
}

function asksProvider({ config }: Context): boolean {
  return config.oidc?.console !== undefined
}

/** Undefined: the session is over. */
async function signedIn(ctx: Context, request: FastifyRequest, token: string) {
  const presented = { token, requestId: request.id, address: request.ip }
  try {
    return await authenticateSession(ctx, presented, { again: true })
  } catch (error) {
    if (!(error instanceof Problem) || error.type !== 'credentials-refused') throw error
    return undefined
  }
}

/** Ends the session that the browser has, if it has one. */
export async function leaveSession(ctx: Context, request: FastifyRequest): Promise<void> {
  const token = sessionToken(request)
  const actor = token === undefined ? undefined : await signedIn(ctx, request, token)
  if (token !== undefined && actor) await endSession(ctx, actor, { token, address: request.ip })
}
