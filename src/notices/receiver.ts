import Type from 'typebox'
import { closed, Id, Name, nullable, PageQuery, Timestamp } from '../shared/schema.ts'

/** What there are notices of. */
const NoticeType = Type.Enum(
  [
    'certificate.expiring',
    'certificate.renewal-failed',
    'certificate.revoked',
    'delivery.failed',
    'authority.expiring',
    'authority.account-failed',
    'list.expiring',
  ],
  { title: 'NoticeType' },
)
export type NoticeType = Type.Static<typeof NoticeType>

export const noticeTypes: readonly NoticeType[] = NoticeType.enum

const ReceiverKind = Type.Enum(['webhook', 'slack', 'pagerduty', 'email'], {
  title: 'ReceiverKind',
})

const Url = Type.String({
  pattern: '^https?://[^\\s@/?#]+([/?#]\\S*)?$',
  maxLength: 2048,
  description:
    'Where a webhook or Slack message is posted; of PagerDuty, its events API where it is not the usual one. It is never shown again',
})

/** What is asked of a receiver; which of it belongs to which kind is in src/notices/put.ts. */
export const ReceiverSpec = closed(
  {
    kind: ReceiverKind,
    url: Type.Optional(Url),
    routingKey: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9]{20,64}$', description: 'Of a PagerDuty service' }),
    ),
    to: Type.Optional(
      Type.Array(
        Type.String({
          pattern: '^[^\\s@<>",;:()\\\\]{1,64}@[A-Za-z0-9.-]{1,255}$',
          maxLength: 320,
        }),
        {
          minItems: 1,
          maxItems: 10,
          uniqueItems: true,
          description: 'Addresses that mail goes to',
        },
      ),
    ),
    events: Type.Optional(
      Type.Array(NoticeType, {
        minItems: 1,
        uniqueItems: true,
        description: 'What it is told of (everything)',
      }),
    ),
  },
  {
    title: 'ReceiverSpec',
    examples: [
      {
        kind: 'webhook',
        url: 'https://hooks.example.com/gatesmith',
        events: ['certificate.expiring', 'delivery.failed'],
      },
      { kind: 'pagerduty', routingKey: '0123456789abcdef0123456789abcdef' },
    ],
  },
)
export type ReceiverSpec = Type.Static<typeof ReceiverSpec>

export const Receiver = closed(
  {
    name: Name,
    tenant: nullable(Name, 'null: the platform, which is told of all tenants'),
    kind: ReceiverKind,
    target: Type.String({ description: 'Where it is, without what is secret' }),
    events: Type.Array(NoticeType),
    failures: Type.Integer({ description: 'How often in a row nothing was taken' }),
    retryAt: nullable(Timestamp, 'Until when nothing is sent there'),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    secret: Type.Optional(
      Type.String({
        description: 'whsec_…, of a webhook: what its posts are signed with; shown once',
      }),
    ),
  },
  { title: 'Receiver' },
)
export type Receiver = Type.Static<typeof Receiver>

export const SigningSecret = closed(
  { secret: Type.String({ description: 'whsec_…; the one before is signed with for a day, too' }) },
  { title: 'SigningSecret' },
)

/** What came of an attempt. */
export const Attempt = closed(
  {
    at: Timestamp,
    answer: nullable(Type.Integer(), 'The HTTP status; null: none came'),
    error: nullable(Type.String()),
  },
  { title: 'Attempt' },
)
export type Attempt = Type.Static<typeof Attempt>

/** What a receiver was told, or is to be. */
export const Notice = closed(
  {
    id: Id,
    type: NoticeType,
    status: Type.Enum(['pending', 'sent', 'dead'], { title: 'NoticeStatus' }),
    createdAt: Timestamp,
    payload: Type.Record(Type.String(), Type.Unknown(), { description: 'What a webhook is sent' }),
    attempts: Type.Array(Attempt, { description: 'The last ten' }),
  },
  { title: 'Notice' },
)
export type Notice = Type.Static<typeof Notice>

export const NoticesQuery = closed({
  ...PageQuery.properties,
  status: Type.Optional(Notice.properties.status),
})
export type NoticesQuery = Readonly<Type.Static<typeof NoticesQuery>>

/** A notice in the words of Standard Webhooks; `data` is about its subject. */
export type Payload = {
  readonly type: NoticeType | 'test'
  readonly timestamp: string
  readonly data: {
    readonly tenant: string | null
    readonly subject: { readonly kind: string; readonly id: string; readonly name: string }
    /** One sentence for people. */
    readonly summary: string
    readonly [fact: string]: unknown
  }
}
