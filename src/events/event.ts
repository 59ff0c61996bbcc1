import Type from 'typebox'
import { closed, Name, nullable, PageQuery, SubjectRef, Timestamp } from '../shared/schema.ts'

/** What is told of: triggers write these words (prisma/migrations/20261126160000_events). */
const EventType = Type.Enum(
  [
    'host.created',
    'host.changed',
    'host.certified',
    'host.status',
    'host.removed',
    'host.gone',
    'certificate.issued',
    'certificate.uploaded',
    'certificate.revoked',
    'certificate.renewal-failed',
    'delivery.status',
    'cluster.status',
  ],
  { title: 'EventType' },
)

export const Event = closed(
  {
    id: Type.String({ description: 'Send it as Last-Event-ID to go on from here' }),
    type: EventType,
    at: Timestamp,
    tenant: nullable(Name, 'null: it concerns no one tenant'),
    subject: SubjectRef,
    data: Type.Record(Type.String(), Type.Unknown(), {
      description: 'Named facts; see docs/events.md',
    }),
  },
  { title: 'Event' },
)
export type Event = Type.Static<typeof Event>

const eventId = '^(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})$'

export const EventsQuery = closed({
  ...PageQuery.properties,
  after: Type.Optional(
    Type.String({
      pattern: eventId,
      maxLength: 40,
      description: 'Id of the last event that was seen; as the header Last-Event-ID',
    }),
  ),
})

/** A place in the order of events: after the event of this transaction and number. */
export type Position = { readonly xid: bigint; readonly seq: bigint }

/** The place after the event of this id; undefined for what is none. */
export function positionOf(id: string): Position | undefined {
  if (!new RegExp(eventId).test(id)) return undefined
  const [xid = '', seq = ''] = id.split('-')
  return { xid: BigInt(xid), seq: BigInt(seq) }
}

/** The id of the event at this place. */
export function idOf({ xid, seq }: Position): string {
  return `${xid}-${seq}`
}
