import Type from 'typebox'
import { listQuery, MadeSort } from '../../shared/lists/query.ts'
import { closed, Id, Name, nullable, Timestamp } from '../../shared/schema.ts'

/** How far an order is (src/acme/ordering/advance.ts). */
export const CaOrderState = Type.Enum(
  ['new', 'authorizing', 'finalizing', 'issued', 'failed', 'dropped'],
  {
    title: 'CaOrderState',
    description:
      'new: the CA has not heard of it; authorizing: its names are being proved; finalizing: its certificate is made; then issued, failed, or dropped: nobody wants it any more',
  },
)

/** What was ordered of a CA elsewhere for a host. */
export const CaOrder = closed(
  {
    id: Id,
    tenant: Name,
    host: nullable(Type.String(), 'null: it is gone'),
    names: Type.Array(Type.String()),
    state: CaOrderState,
    message: nullable(Type.String(), 'What it waits for, or why it failed, as the CA says it'),
    problem: nullable(
      Type.String(),
      'What the CA calls it (RFC 8555 6.7), such as rateLimited; unreachable: it does not answer',
    ),
    failures: Type.Integer({ description: 'How often in a row nothing came of it' }),
    retryAt: nullable(Timestamp, 'When it is looked at again after that'),
    replaces: nullable(Id, 'The certificate that it is to take over from'),
    certificate: nullable(Id, 'The certificate that came of it'),
    createdAt: Timestamp,
    sentAt: nullable(Timestamp, 'Since when the CA may know it'),
    endedAt: nullable(Timestamp, 'null: it is under way'),
  },
  { title: 'CaOrder' },
)
export type CaOrder = Type.Static<typeof CaOrder>

/** Which orders are listed; all that is named must hold. */
export const CaOrderQuery = listQuery(MadeSort, {
  state: Type.Optional(CaOrderState),
  open: Type.Optional(Type.Boolean({ description: 'Whether they are under way' })),
})
export type CaOrderQuery = Readonly<Type.Static<typeof CaOrderQuery>>
