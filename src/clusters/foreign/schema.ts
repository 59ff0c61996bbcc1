import Type from 'typebox'
import { type Cursored, listQuery } from '../../shared/lists/query.ts'
import { closed, Id, moment, Name, nullable, Timestamp } from '../../shared/schema.ts'

/** A certificate that gateways of a cluster were last seen to hold and that nobody has here. */
export const ForeignCertificate = closed(
  {
    id: Id,
    cluster: Name,
    ingress: Name,
    credential: Type.String({
      description:
        'By what the gateway has it, as Envoy says it: kubernetes://name is a Secret in the namespace of the gateway',
    }),
    subject: Type.String(),
    issuer: Type.String({ description: 'The name of who signed it' }),
    serial: Type.String({ description: 'Lower-case hexadecimal' }),
    dnsNames: Type.Array(Type.String()),
    ipAddresses: Type.Array(Type.String()),
    keyAlgorithm: nullable(Type.String(), 'As ECDSA_P256; null: OpenSSL does not say'),
    notBefore: Timestamp,
    notAfter: Timestamp,
    fingerprintSha256: Type.String(),
    chainLength: Type.Integer({
      description: 'How many certificates came with it; 0 where it was only seen to be served',
    }),
    servedNames: Type.Array(Type.String(), {
      description: 'The names (SNI) for which it is served; * where for all',
    }),
    gateways: Type.Array(Type.String(), {
      description: 'namespace/name of the Gateways that name it, as far as routes tell',
    }),
    pods: Type.Integer({
      description:
        'How many gateway pods were seen to hold it; 0: none could be read, and it was seen to be served',
    }),
    firstSeenAt: Timestamp,
    seenAt: Timestamp,
  },
  { title: 'ForeignCertificate' },
)
export type ForeignCertificate = Type.Static<typeof ForeignCertificate>

/** What came of the last reading of a gateway pod. */
export const Gateway = closed(
  {
    ingress: Name,
    pod: nullable(Type.String(), 'null: the pods could not be listed, or there are none'),
    readAt: Timestamp,
    reason: nullable(Type.String(), 'Why it could not be read; null: it was'),
    certificates: Type.Integer({ description: 'How many it holds for its listeners' }),
    foreign: Type.Integer({ description: 'How many of them nobody has here' }),
  },
  { title: 'Gateway' },
)
export type Gateway = Type.Static<typeof Gateway>

export const Gateways = closed(
  { items: Type.Array(Gateway) },
  { title: 'Gateways', description: 'The gateway pods of a cluster, as they were last read' },
)
export type Gateways = Type.Static<typeof Gateways>

/** How foreign certificates are ordered: by their end. */
export const EndSort = Type.Enum(['notAfter', '-notAfter'], {
  title: 'EndSort',
  description: 'notAfter: soonest end first (the default); -notAfter: the latest first',
})
export type EndSort = Type.Static<typeof EndSort>

/** Which foreign certificates are listed; all that is named must hold. */
export const ForeignQuery = listQuery(EndSort, {
  cluster: Type.Optional(Name),
  ingress: Type.Optional(Name),
  expiringWithin: Type.Optional(
    Type.String({
      maxLength: 20,
      description:
        'Those that have not ended and end within this ISO 8601 period: P30D, P4W, PT12H',
    }),
  ),
  notAfterFrom: Type.Optional(moment('Those that end at this moment or later')),
  notAfterTo: Type.Optional(moment('Those that end before this moment')),
  name: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      description: 'A name that the certificate bears or is served for, letter by letter',
    }),
  ),
})
export type ForeignQuery = Cursored<Type.Static<typeof ForeignQuery>>
