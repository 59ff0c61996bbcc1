import Type from 'typebox'
import { closed, Id, Name, nullable, plainText, Timestamp } from '../../shared/schema.ts'
import { NewRevocation } from '../crl/revocation.ts'
import { NewRotation } from '../rotation/steps.ts'

export const NewApproval = closed(
  {
    action: Type.Enum(
      ['rotate', 'retire-rotated', 'revoke-issuer', 'cross-sign', 'remove', 'one-person'],
      {
        title: 'ApprovableAction',
        description:
          'rotate, retire-rotated, revoke-issuer, cross-sign, remove: as the operations of these names; one-person: from now on one person decides',
      },
    ),
    rotation: Type.Optional(NewRotation),
    issuer: Type.Optional(Type.String({ format: 'uuid', description: 'revoke-issuer: which' })),
    reason: NewRevocation.properties.reason,
    by: Type.Optional(Name),
    comment: Type.Optional(
      Type.String({
        pattern: plainText,
        maxLength: 500,
        description: 'Why, for who decides',
      }),
    ),
  },
  {
    title: 'NewApproval',
    examples: [
      {
        action: 'rotate',
        rotation: { keyAlgorithm: 'ECDSA_P384' },
        comment: 'the yearly change of key',
      },
    ],
  },
)
export type NewApproval = Type.Static<typeof NewApproval>

const Person = closed(
  { kind: Type.String(), id: Type.String(), name: Type.String() },
  { title: 'Person' },
)

export const Approval = closed(
  {
    id: Id,
    authority: Name,
    request: NewApproval,
    state: Type.Enum(['pending', 'done', 'rejected', 'expired'], {
      title: 'ApprovalState',
      description: 'done: it was approved, and with that carried out',
    }),
    askedBy: Person,
    askedAt: Timestamp,
    expiresAt: Type.String({ format: 'date-time', description: 'Until when it can be approved' }),
    decidedBy: nullable(Person),
    decidedAt: nullable(Timestamp),
  },
  { title: 'Approval' },
)
export type Approval = Type.Static<typeof Approval>
