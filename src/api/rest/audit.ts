import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import {
  AuditVerification,
  latestCheckpoint,
  VerifyQuery,
  verifyAuditTrail,
} from '../../audit/chain/verify.ts'
import { AuditEvent, AuditQuery } from '../../audit/event.ts'
import { exportAuditEvents, findAuditEvents } from '../../audit/find.ts'
import { Forwards, findForwards } from '../../notices/siem/status.ts'
import { ListOf } from '../../shared/lists/query.ts'
import { refuse } from '../../shared/problem.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'

const lines = 'application/x-ndjson'

/** /v1/audit-events */
export const audit: Routes = {
  listAuditEvents(api, ctx) {
    api.get(
      '/audit-events',
      {
        config: { needs: 'read-audit', problems: ['tenant-unknown', 'cursor-refused'] },
        schema: {
          tags: ['audit'],
          summary: 'Read the audit trail, newest first; as NDJSON all of it, oldest first',
          description:
            'Who did what, when, and what changed. The API key of a tenant sees what concerns that tenant. An export has no pages.',
          querystring: AuditQuery,
          response: {
            200: {
              description: `A page; with Accept: ${lines} every event that matches, one to a line`,
              content: {
                'application/json': { schema: ListOf(AuditEvent) },
                [lines]: { schema: Type.Unsafe<Readable>({ type: 'string' }) },
              },
            },
          },
        },
      },
      async (request, reply) => {
        reply.header('vary', 'accept')
        if (!wantsLines(request)) return findAuditEvents(ctx, actorOf(request), request.query)
        const { limit, cursor, sort, count, fields, ...filter } = request.query
        refuse(
          'request-invalid',
          Object.entries({ limit, cursor, sort, count, fields }).flatMap(([name, value]) =>
            value === undefined
              ? []
              : [
                  {
                    field: `/${name}`,
                    message: `${name} has no place in an export: it has no pages`,
                  },
                ],
          ),
        )
        const batches = await exportAuditEvents(ctx, actorOf(request), filter)
        return reply.type(lines).send(Readable.from(asLines(batches)))
      },
    )
  },

  verifyAuditEvents(api, ctx) {
    api.get(
      '/audit-events/verify',
      {
        config: { needs: 'read-audit', problems: ['tenant-unknown', 'cursor-refused'] },
        schema: {
          tags: ['audit'],
          summary: 'Look whether the audit trail is as it was written, from the oldest events on',
          description:
            'Each event against its place in the chain of its tenant, the chains against signed checkpoints, and whether events are there that no chain knows. Go on with nextCursor until it is null.',
          querystring: VerifyQuery,
          response: { 200: AuditVerification },
        },
      },
      (request) => verifyAuditTrail(ctx, actorOf(request), request.query),
    )
  },

  getAuditForwarding(api, ctx) {
    api.get(
      '/audit-events/forwarding',
      {
        config: { needs: 'read-audit', platform: true },
        schema: {
          tags: ['audit'],
          summary: 'How far the audit trail was told to a SIEM',
          description:
            'For each that was ever set (GATESMITH_SIEM_…): how many events it was not told yet, and why nothing was taken.',
          response: { 200: Forwards },
        },
      },
      (request) => findForwards(ctx, actorOf(request)),
    )
  },

  getAuditCheckpoint(api, ctx) {
    api.get(
      '/audit-events/checkpoint',
      {
        config: { needs: 'read-audit', problems: ['checkpoint-unknown'] },
        schema: {
          tags: ['audit'],
          summary: 'The last signed checkpoint of the audit trail, to be kept elsewhere',
          description:
            'Whoever keeps one can tell later whether events of before were changed or taken away.',
          response: {
            200: {
              description: 'A signed note (C2SP tlog-checkpoint)',
              content: { 'text/plain': { schema: Type.String() } },
            },
          },
        },
      },
      async (request, reply) =>
        reply.type('text/plain; charset=utf-8').send(await latestCheckpoint(ctx, actorOf(request))),
    )
  },
}

function wantsLines({ headers }: FastifyRequest): boolean {
  return /\bapplication\/x-ndjson\b/i.test(headers.accept ?? '')
}

async function* asLines(batches: AsyncIterable<readonly AuditEvent[]>) {
  for await (const events of batches) {
    yield events.map((event) => `${JSON.stringify(event)}\n`).join('')
  }
}
