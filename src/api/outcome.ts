import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { keepAccess, noteRefusal } from '../audit/access.ts'
import type { Context } from '../core/context.ts'
import { metersOf } from '../core/metrics.ts'
import { askerOf } from './edge/admission.ts'
import { isAboutAccess, problemOf } from './problem.ts'

/** Has it told of every request what came of it: measured, and in the audit trail when it was refused for who
 *  asked. Of a URL its pattern alone is told: what was asked for has no bound, and may hold a token. */
export function tellsOutcomes(api: FastifyInstance, ctx: Context): void {
  const writeRest = keepAccess(ctx)
  // A socket that is closed has no address any more.
  api.addHook('onRequest', async (request) => void addresses.set(request, request.ip))
  api.addHook('onResponse', async (request, reply) => {
    measure(ctx, request, reply)
    record(ctx, request)
  })
  api.addHook('onClose', writeRest)
}

const addresses = new WeakMap<FastifyRequest, string>()

function routeOf({ routeOptions }: FastifyRequest): string {
  return routeOptions.url ?? 'none'
}

function measure(ctx: Context, request: FastifyRequest, reply: FastifyReply): void {
  const status = `${Math.floor(reply.statusCode / 100)}xx`
  const labels = { method: request.method, route: routeOf(request), status }
  metersOf(ctx.config).requests.observe(labels, reply.elapsedTime / 1000)
}

function record(ctx: Context, request: FastifyRequest): void {
  const problem = problemOf(request)
  if (!problem || !isAboutAccess(problem)) return
  noteRefusal(ctx, {
    actor: askerOf(request),
    requestId: request.id,
    address: addresses.get(request) ?? request.ip,
    method: request.method,
    route: routeOf(request),
    reason: problem.type,
  })
}
