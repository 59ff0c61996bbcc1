import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { keepAccess, noteRefusal } from '../audit/access.ts'
import type { Context } from '../core/context.ts'
import { metersOf } from '../core/metrics.ts'
import { type OpenSpan, openSpan, traceIn } from '../core/tracing.ts'
import { isRecord } from '../shared/shape.ts'
import { askerOf } from './edge/admission.ts'
import { isAboutAccess, problemOf } from './problem.ts'

/** Has it told of every request what came of it: in a trace, measured, in one line of the log, and in the audit trail when
 *  it was refused for who asked. Of a URL its pattern alone is told, and of what was sent nothing: it has no bound,
 *  and may hold a secret. */
export function tellsOutcomes(api: FastifyInstance, ctx: Context): void {
  const writeRest = keepAccess(ctx)
  traces(api)
  // A socket that is closed has no address any more.
  api.addHook('onRequest', async (request) => void addresses.set(request, request.ip))
  api.addHook('onResponse', async (request, reply) => {
    measure(ctx, request, reply)
    log(request, reply)
    tellRefusal(ctx, request)
  })
  api.addHook('onClose', writeRest)
}

const addresses = new WeakMap<FastifyRequest, string>()

const spans = new WeakMap<FastifyRequest, OpenSpan>()

/** Each request is a span: inside that of its traceparent, where there is one. */
function traces(api: FastifyInstance): void {
  api.addHook('onRequest', (request, reply, done) => {
    const { method, headers, protocol, id } = request
    const route = routeOf(request)
    if (quiet.has(route)) return done()
    const span = openSpan(
      {
        name: `${method} ${route}`,
        kind: 'server',
        facts: {
          'http.request.method': method,
          'http.route': route,
          'url.scheme': protocol,
          'gatesmith.request.id': id,
        },
      },
      traceIn(headers),
    )
    spans.set(request, span)
    reply.raw.once('close', () => {
      const { statusCode: status } = reply
      span.note({ 'http.response.status_code': status })
      span.end(status >= 500 ? (problemOf(request)?.type ?? String(status)) : undefined)
    })
    span.within(done)
  })
  // What was read of a body came outside of it.
  api.addHook('preValidation', (request, _, done) => {
    const span = spans.get(request)
    if (span) span.within(done)
    else done()
  })
}

function routeOf({ routeOptions }: FastifyRequest): string {
  return routeOptions.url ?? 'none'
}

function measure(ctx: Context, request: FastifyRequest, reply: FastifyReply): void {
  const status = `${Math.floor(reply.statusCode / 100)}xx`
  const labels = { method: request.method, route: routeOf(request), status }
  metersOf(ctx.config).requests.observe(labels, reply.elapsedTime / 1000)
}

/** Whether we live is asked all the time. */
const quiet: ReadonlySet<string> = new Set(['/livez', '/readyz'])

function log(request: FastifyRequest, reply: FastifyReply): void {
  const route = routeOf(request)
  const { kind, id, name, role, tenantId } = askerOf(request) ?? {}
  const problem = problemOf(request)
  const { statusCode: status, elapsedTime } = reply
  const facts = {
    ...{ method: request.method, route, status, milliseconds: Math.round(elapsedTime) },
    address: addresses.get(request),
    ...(kind === undefined ? {} : { actor: { kind, id, name, role } }),
    tenantId: tenantId ?? undefined,
    tenant: status < 400 ? tenantIn(request) : undefined,
    traceId: spans.get(request)?.traceId,
    problem: problem?.type,
    // That of others may quote what was sent.
    reason: problem && (isAboutAccess(problem) || status >= 500) ? problem.message : undefined,
  }
  if (quiet.has(route) && status < 400) request.log.debug(facts, 'answered')
  else request.log.info(facts, 'answered')
}

/** The name of the tenant that was asked about, once it is known that there is one. */
function tenantIn({ params }: FastifyRequest): string | undefined {
  return isRecord(params) && typeof params.tenant === 'string' ? params.tenant : undefined
}

function tellRefusal(ctx: Context, request: FastifyRequest): void {
  const problem = problemOf(request)
  if (!problem || !isAboutAccess(problem)) return
  metersOf(ctx.config).refused.inc({ reason: problem.type })
  noteRefusal(ctx, {
    actor: askerOf(request),
    requestId: request.id,
    address: addresses.get(request) ?? request.ip,
    method: request.method,
    route: routeOf(request),
    reason: problem.type,
  })
}
