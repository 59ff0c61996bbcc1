import Type from 'typebox'
import { type Cursored, listQuery } from '../shared/lists/query.ts'
import {
  closed,
  moment,
  Name,
  nullable,
  plainText,
  SubjectRef,
  Timestamp,
} from '../shared/schema.ts'

const text = (description: string, maxLength = 255) =>
  Type.String({ pattern: plainText, maxLength, description })

const ActorKind = Type.Enum(['api-key', 'oidc', 'system', 'acme-account', 'anonymous'], {
  title: 'ActorKind',
})

/** What a reading of the audit trail is narrowed by. */
const auditFilter = {
  tenant: Type.Optional(Name),
  action: Type.Optional(
    Type.String({ pattern: '^[a-z-]+\\.[a-z-]+$', maxLength: 64, description: 'As host.created' }),
  ),
  subjectKind: Type.Optional(
    Type.Enum(
      [
        'address',
        'tenant',
        'api-key',
        'authority',
        'key',
        'certificate',
        'acme-key',
        'acme-account',
        'acme-order',
        'replacement',
        'cluster',
        'host',
        'delivery',
        'receiver',
      ],
      { title: 'AuditSubjectKind' },
    ),
  ),
  subjectId: Type.Optional(text('Id of what was changed')),
  subject: Type.Optional(text('Name of what was changed; with subjectKind or tenant')),
  actor: Type.Optional(text('Name or id of who did it', 511)),
  actorKind: Type.Optional(ActorKind),
  address: Type.Optional(
    text('Where requests came from that were refused, or by which credentials were first used'),
  ),
  requestId: Type.Optional(text('As in x-request-id')),
  from: Type.Optional(moment('Inclusive')),
  to: Type.Optional(moment('Exclusive')),
}

/** How the audit trail is ordered. */
export const AuditSort = Type.Enum(['seq', '-seq'], {
  title: 'AuditSort',
  description:
    '-seq: the newest first (the default); seq: the oldest first. With from or to in the order of time',
})
export type AuditSort = Type.Static<typeof AuditSort>

export const AuditQuery = listQuery(AuditSort, auditFilter)
export type AuditQuery = Cursored<Type.Static<typeof AuditQuery>>

export const AuditEvent = closed(
  {
    seq: Type.String({ pattern: '^[0-9]+$', description: 'Decimal; grows with every event' }),
    at: Timestamp,
    actor: closed(
      { kind: ActorKind, id: nullable(Type.String()), name: Type.String() },
      { title: 'AuditActor' },
    ),
    requestId: nullable(Type.String({ description: 'As in x-request-id and the log' })),
    tenant: Type.Union([Name, Type.Null()], { description: 'null: it concerns no one tenant' }),
    action: Type.String({ description: 'As host.created' }),
    subject: SubjectRef,
    changes: Type.Record(Type.String(), Type.Unknown(), {
      description: 'Named facts about the change; never a secret',
    }),
    chain: nullable(
      closed(
        {
          id: Type.String({ description: 'Of the tenant; all zeros: the platform' }),
          position: Type.String({ description: 'Decimal, from 1 on' }),
          index: Type.String({ description: 'Decimal, from 0 on: the leaf in the tree of all' }),
          hash: Type.String({ description: 'SHA-256, hexadecimal: see docs/audit.md' }),
        },
        { title: 'AuditChainPlace' },
      ),
    ),
  },
  { title: 'AuditEvent' },
)
export type AuditEvent = Type.Static<typeof AuditEvent>
