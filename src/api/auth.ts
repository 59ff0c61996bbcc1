import type { FastifyRequest } from 'fastify'
import type { Actor } from '../ground/actor.ts'
import type { Context } from '../ground/context.ts'
import { authenticate } from '../tenants/apikeys.ts'
import { Problem } from '../words/problem.ts'

const actors = new WeakMap<FastifyRequest, Actor>()

/** Who asks, as told by `Authorization: Bearer <token>` (RFC 6750 2.1); asked once a request. Throws
 *  credentials-missing, credentials-refused. */
export async function identify(ctx: Context, request: FastifyRequest): Promise<void> {
  const { authorization } = request.headers
  const [, token] = /^Bearer ([A-Za-z0-9._~+/-]{1,4096}=*)$/i.exec(authorization ?? '') ?? []
  if (token === undefined) {
    throw new Problem('credentials-missing', 'Send Authorization: Bearer <API key>')
  }
  actors.set(request, await authenticate(ctx, { token, requestId: request.id }))
}

/** The actor of a request that has been identified. */
export function actorOf(request: FastifyRequest): Actor {
  const actor = actors.get(request)
  if (!actor) throw new Error(`${request.url} is served without asking who asks`)
  return actor
}
