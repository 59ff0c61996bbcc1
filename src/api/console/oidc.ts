import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Context } from '../../core/context.ts'
import type { ConsoleClient, Oidc } from '../../core/settings/oidc.ts'
import { minute } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { beginSession } from '../../tenants/sessions/lifecycle.ts'
import type { Api } from '../api.ts'
import { admitted } from '../edge/admission.ts'
import { limitFailures } from '../edge/ratelimit.ts'
import { asProblem, noteProblem } from '../problem.ts'
import { flowIn, keepFlow, keepSession } from '../signin/cookie.ts'
import { signInPerson } from '../signin/oidc.ts'
import { beginFlow, endFlow } from '../signin/provider.ts'
import { leaveSession } from './session.ts'

const home = '/console/'
const callback = '/console/oidc/callback'

/** How long a person may take at the provider. */
const patience = 10 * minute

/** What a browser brings back from the provider, sealed. */
const Brought = Type.Object({
  state: Type.String(),
  nonce: Type.String(),
  verifier: Type.String(),
  returnTo: Type.String(),
  until: Type.Integer(),
})
type Brought = Type.Static<typeof Brought>

const binding = 'console/oidc'

type Exchange = { readonly request: FastifyRequest; readonly reply: FastifyReply }

/** GET /console/oidc/start and its callback: a person signs in at the identity provider. Whatever comes of it, the browser
 *  is led back to the console: a refusal is told behind `#signin-refused=`. */
export function consoleOidc(
  api: Api,
  ctx: Context,
  oidc: Oidc & { readonly console: ConsoleClient },
): void {
  api.get(
    '/console/oidc/start',
    {
      schema: {
        hide: true,
        querystring: Type.Object({ returnTo: Type.Optional(Type.String({ maxLength: 2048 })) }),
      },
    },
    (request, reply) =>
      ledBack({ request, reply }, async () => {
        const { url, flow } = await beginFlow(ctx, oidc, originOf(request) + callback)
        const returnTo = placeIn(request.query.returnTo)
        const brought: Brought = { ...flow, returnTo, until: ctx.now().getTime() + patience }
        const text = ctx.seal.seal(binding, Buffer.from(JSON.stringify(brought)))
        const held = { text: text.toString('base64url'), seconds: patience / 1000 }
        keepFlow({ request, reply }, held)
        return reply.redirect(url, 302)
      }),
  )
  api.get(callback, { schema: { hide: true } }, (request, reply) =>
    ledBack({ request, reply }, async () => {
      const { returnTo, ...flow } = broughtBy(ctx, request)
      keepFlow({ request, reply }, { text: '', seconds: 0 })
      const { clientId } = oidc.console
      const actor = await limitFailures(ctx, { request, token: flow.state }, async () => {
        const url = new URL(request.url, originOf(request))
        const tokens = await endFlow(ctx, oidc, { url, flow })
        return signInPerson(ctx, oidc, { ...tokens, clientId, requestId: request.id })
      })
      admitted(ctx, { request, reply }, actor)
      await leaveSession(ctx, request)
      const { token } = await beginSession(ctx, actor, { by: 'oidc', address: request.ip })
      keepSession({ request, reply }, token)
      return reply.redirect(returnTo, 303)
    }),
  )
}

/** A person is shown a page, not a problem document; the log and the trail are told of it all the same. */
async function ledBack(
  { request, reply }: Exchange,
  work: () => Promise<FastifyReply>,
): Promise<FastifyReply> {
  try {
    return await work()
  } catch (error) {
    const problem = asProblem(error)
    if (problem.type === 'internal') throw error
    noteProblem(request, problem)
    return reply.redirect(`${home}#signin-refused=${problem.type}`, 303)
  }
}

function originOf({ protocol, host }: FastifyRequest): string {
  const origin = `${protocol}://${host}`
  if (URL.canParse(origin)) return origin
  throw new Problem('request-malformed', 'Send a Host that can be the host of a URL')
}

/** A view of the console, as a browser reads the address; whatever else was asked for, the first view. */
function placeIn(asked = home): string {
  const base = 'http://console.invalid'
  if (!URL.canParse(asked, base)) return home
  const { origin, pathname, search } = new URL(asked, base)
  const isView = pathname.startsWith(home) && !/^\/console\/(oidc|session)(\/|$)/.test(pathname)
  return origin === base && isView ? pathname + search : home
}

/** What this browser was given at the start, while it is good. Throws credentials-refused. */
function broughtBy(ctx: Context, request: FastifyRequest): Brought {
  const text = flowIn(request)
  const brought = text === undefined ? undefined : opened(ctx, text)
  if (brought && brought.until > ctx.now().getTime()) return brought
  throw new Problem(
    'credentials-refused',
    'This browser was not sent to your identity provider from here, or too long ago: begin again',
  )
}

function opened(ctx: Context, text: string): Brought | undefined {
  try {
    const plain = ctx.seal.open(binding, Buffer.from(text, 'base64url')).toString()
    return Value.Parse(Brought, JSON.parse(plain))
  } catch {
    // Not ours, or sealed under a key of before.
    return undefined
  }
}
