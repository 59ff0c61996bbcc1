import Type from 'typebox'
import type { Cursored } from '../../shared/lists/query.ts'
import { closed, HostnameText, Name, nullable, PageQuery, Timestamp } from '../../shared/schema.ts'

const ListenerState = Type.Enum(['active', 'error', 'warming', 'draining', 'unread'], {
  title: 'ListenerState',
  description:
    'active: in use; error: Envoy refused the last configuration, what is active is an older one; warming: not in use yet; draining: connections of before end; unread: the pod could not be asked',
})

const ListenerTls = closed(
  {
    minVersion: nullable(Type.String(), 'null: Envoy’s own choice, TLS 1.2'),
    maxVersion: nullable(Type.String()),
    credential: nullable(Type.String(), 'The Secret that it asks istiod for'),
    clientCertificate: Type.Boolean({ description: 'Whether one is demanded' }),
  },
  { title: 'ListenerTls' },
)

/** One line of the table of an ingress: a filter chain in use, or what else there is to say of a listener
 *  or a pod. */
export const ListenerRow = closed(
  {
    ingress: Name,
    pod: nullable(Type.String(), 'null: the pods themselves could not be listed'),
    state: ListenerState,
    listener: nullable(Type.String(), 'Its name in Envoy'),
    addresses: nullable(Type.String()),
    port: nullable(Type.Integer()),
    match: nullable(Type.String(), 'As istioctl writes it'),
    destination: nullable(Type.String(), 'As istioctl writes it'),
    tls: nullable(ListenerTls, 'null: TLS does not end here'),
    gateway: nullable(
      Type.String(),
      'namespace/name of the Gateway, where the route name tells it',
    ),
    tenant: nullable(Name, 'Whose host it is'),
    host: nullable(HostnameText, 'The host that has the name of this chain'),
    reason: nullable(Type.String(), 'Why Envoy refused it, or why the pod could not be asked'),
    since: nullable(Timestamp),
  },
  { title: 'Listener' },
)
export type ListenerRow = Type.Static<typeof ListenerRow>

/** What a reading of the table is narrowed by. */
const listenerFilter = {
  ingress: Type.Optional(Name),
  pod: Type.Optional(Type.String({ pattern: '^[a-z0-9:.\\[\\]-]{1,253}$' })),
  port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
  state: Type.Optional(ListenerState),
  host: Type.Optional(HostnameText),
}

export const ListenerQuery = closed({ ...PageQuery.properties, ...listenerFilter })
export type ListenerQuery = Cursored<Type.Static<typeof ListenerQuery>> & {
  readonly count?: boolean
}
