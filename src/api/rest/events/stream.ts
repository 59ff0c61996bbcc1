import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Context } from '../../../core/context.ts'
import { Event, EventsQuery, positionOf } from '../../../events/event.ts'
import { accessEvents, findEvents } from '../../../events/find.ts'
import { type FollowStep, followEvents } from '../../../events/follow.ts'
import { Problem } from '../../../shared/problem.ts'
import { closed, Name, PageOf } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf, stillAdmitted } from '../../edge/admission.ts'
import { leavingOf } from '../../edge/leaving.ts'
import { patienceMilliseconds, takeSeat } from './seats.ts'

const stream = 'text/event-stream'
const tags = ['events']
const summary = 'What happened, oldest first; as an event stream also what happens from now on'
const description = `A page of what is kept (a week); with Accept: ${stream} a stream of Server-Sent Events that goes on from Last-Event-ID (or after=), or from now on. See docs/events.md.`
const response = {
  200: {
    description: 'A page, or a stream',
    content: {
      'application/json': { schema: PageOf(Event) },
      [stream]: { schema: Type.Unsafe<Readable>({ type: 'string' }) },
    },
  },
}

/** /v1/tenants/{tenant}/events, and /v1/events for those of all. */
export const events: Routes = {
  listTenantEvents(api, ctx) {
    api.get(
      '/tenants/:tenant/events',
      {
        config: { needs: 'read', problems: ['tenant-unknown', 'cursor-refused', 'busy'] },
        schema: {
          ...{ tags, summary, description, response },
          params: closed({ tenant: Name }),
          querystring: EventsQuery,
        },
      },
      async (request, reply) => {
        const { tenant } = request.params
        const asked = { tenant, ...request.query }
        reply.header('vary', 'accept')
        return wantsStream(request)
          ? follow(ctx, { request, reply }, asked)
          : findEvents(ctx, actorOf(request), asked)
      },
    )
  },

  listEvents(api, ctx) {
    api.get(
      '/events',
      {
        config: { needs: 'read', platform: true, problems: ['cursor-refused', 'busy'] },
        schema: { tags, summary, description, response, querystring: EventsQuery },
      },
      async (request, reply) => {
        const asked = { tenant: null, ...request.query }
        reply.header('vary', 'accept')
        return wantsStream(request)
          ? follow(ctx, { request, reply }, asked)
          : findEvents(ctx, actorOf(request), asked)
      },
    )
  },
}

function wantsStream({ headers, method }: FastifyRequest): boolean {
  return method === 'GET' && /\btext\/event-stream\b/i.test(headers.accept ?? '')
}

type Asked = {
  readonly tenant: string | null
  readonly after?: string | undefined
  readonly limit?: number
  readonly cursor?: string
}

/** Answers with a stream that ends when the client leaves, the server stops, or the credentials are no longer
 *  good. Throws busy, request-invalid, and what accessEvents throws. */
async function follow(
  ctx: Context,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  { tenant, after, limit, cursor }: Asked,
): Promise<FastifyReply> {
  if (limit !== undefined || cursor !== undefined) {
    throw new Problem('request-invalid', 'A stream has no pages: leave limit and cursor out')
  }
  const actor = actorOf(request)
  const whose = await accessEvents(ctx, actor, tenant)
  const last = String(request.headers['last-event-id'] ?? after ?? '')
  const position = positionOf(last)
  if (last !== '' && !position) {
    throw new Problem('cursor-refused', 'Last-Event-ID is not the id of an event here')
  }
  reply.raw.once('close', takeSeat(ctx, actor))
  const told = followEvents(ctx, whose, {
    after: position,
    signal: leavingOf(reply),
    admitted: async () => void (await accessEvents(ctx, await stillAdmitted(ctx, request), tenant)),
  })
  // The connection ends with the stream, or a server that stops would wait for it.
  reply
    .header('connection', 'close')
    .header('x-accel-buffering', 'no')
    .type(`${stream}; charset=utf-8`)
  const lines = Readable.from(asLines(ctx, reply, told), { highWaterMark: 1 })
  return reply.send(lines)
}

/** In the format of Server-Sent Events (WHATWG HTML 9.2.6). Who does not take what it is sent for half a minute
 *  is cut off, so that nothing is held for it. */
async function* asLines(ctx: Context, reply: FastifyReply, told: AsyncIterable<FollowStep>) {
  try {
    for await (const one of told) {
      const slow = setTimeout(() => reply.raw.destroy(), patienceMilliseconds)
      try {
        yield textOf(one)
      } finally {
        clearTimeout(slow)
      }
    }
  } catch (error) {
    // Credentials that are no longer good: whoever comes back is told so.
    if (!(error instanceof Problem)) ctx.log.warn({ err: error }, 'a stream of events broke off')
  }
}

function textOf(told: FollowStep): string {
  if (told.kind === 'open') return 'retry: 3000\n\n'
  if (told.kind === 'nothing') return ':\n\n'
  if (told.kind === 'reset') return `id: ${told.id}\nevent: reset\ndata: {}\n\n`
  return told.events
    .map((event) => `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('')
}
