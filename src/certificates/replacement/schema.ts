import Type from 'typebox'
import { closed, HostnameText, Id, Name, Timestamp } from '../../shared/schema.ts'

const ReplacementWhere = closed(
  {
    authority: Type.Optional(Name),
    spkiSha256: Type.Optional(
      Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of the public key' }),
    ),
    tenant: Type.Optional(Name),
    dnsName: Type.Optional(HostnameText),
  },
  { minProperties: 1, title: 'ReplacementWhere', description: 'All that is said has to hold' },
)
export type ReplacementWhere = Type.Static<typeof ReplacementWhere>

export const NewReplacement = closed(
  {
    reason: Type.String({ minLength: 1, maxLength: 500 }),
    where: ReplacementWhere,
    revoke: Type.Optional(
      Type.Boolean({
        description:
          'Revoke each as superseded when another has taken its place, on a host when its clusters serve that one (false)',
      }),
    ),
    within: Type.Optional(
      Type.String({
        maxLength: 20,
        description:
          'The replacing is spread over this time (PT1H): ISO 8601, such as PT12H or P7D',
      }),
    ),
    explanationUrl: Type.Optional(
      Type.String({
        pattern: '^https?://[^\\s]+$',
        maxLength: 1000,
        description: 'Told to whoever asks for renewal information',
      }),
    ),
  },
  {
    title: 'NewReplacement',
    examples: [
      {
        reason: 'The key of the load balancer was copied',
        where: { authority: 'example-issuing', tenant: 'example' },
        within: 'PT12H',
      },
    ],
  },
)
export type NewReplacement = Type.Static<typeof NewReplacement>

export const Replacement = closed(
  {
    id: Id,
    reason: Type.String(),
    where: ReplacementWhere,
    revoke: Type.Boolean(),
    explanationUrl: Type.Union([Type.String(), Type.Null()]),
    orderedBy: Type.String(),
    createdAt: Timestamp,
    until: Timestamp,
    doneAt: Type.Union([Timestamp, Type.Null()]),
    choosing: Type.Boolean({
      description: 'Not all certificates that it is about are counted yet',
    }),
    total: Type.Integer(),
    done: Type.Integer({ description: 'Another has taken their place, or they ended' }),
    failed: Type.Integer({ description: 'Tried and refused; tried again, see renewal.lastError' }),
    callers: Type.Integer({
      description:
        'Wait for whoever has their key; renewal information tells them to renew at once',
    }),
  },
  { title: 'Replacement' },
)
export type Replacement = Type.Static<typeof Replacement>
