import Type from 'typebox'
import { PlacementStatus } from '../../hosts/host.ts'
import { closed, exampleId, Id, Name, Namespace, Timestamp } from '../../shared/schema.ts'

const SecretName = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'The kubernetes.io/tls Secret: tls.crt, tls.key, and ca.crt with what to trust',
})
const Deployment = Type.String({
  pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$',
  description:
    'A Deployment of that namespace that is rolled out anew whenever another certificate is there',
})

const passwordRef = closed(
  {
    name: Type.String({ pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$' }),
    key: Type.String({ pattern: '^[A-Za-z0-9._-]{1,253}$' }),
  },
  { title: 'SecretKeyRef' },
)
const Pkcs12 = closed(
  {
    passwordSecretRef: Type.Optional({
      ...passwordRef,
      description:
        'A Secret of that namespace that has the password of both stores (made here: keystore.password beside them)',
    }),
  },
  {
    title: 'Pkcs12Keystores',
    description:
      'RFC 7292, as Java reads it: keystore.p12 with the key and its chain, truststore.p12 with what to trust',
  },
)

/** The stores that a Secret has beside its PEM. */
export const Keystores = closed({ pkcs12: Pkcs12 }, { title: 'DeliveryKeystores' })
export type Keystores = Type.Static<typeof Keystores>

const asked = {
  certificate: Type.String({
    format: 'uuid',
    description:
      'A certificate whose key is held here. Whatever takes its place, by renewal or replacement, is delivered in its stead',
  }),
  secret: closed({ name: SecretName, namespace: Namespace }, { title: 'SecretRef' }),
  keystores: Type.Optional(Keystores),
  restart: Type.Optional(closed({ deployment: Deployment }, { title: 'DeliveryRestart' })),
  clusters: Type.Array(Name, { minItems: 1, maxItems: 64, uniqueItems: true }),
}

/** What is asked for of a delivery. */
export const DeliverySpec = closed(asked, {
  title: 'DeliverySpec',
  examples: [
    {
      certificate: exampleId,
      secret: { name: 'client-tls', namespace: 'test' },
      clusters: ['sandbox'],
    },
  ],
})
export type DeliverySpec = Type.Static<typeof DeliverySpec>

const TargetView = closed(
  {
    cluster: Name,
    status: PlacementStatus,
    since: Timestamp,
    message: Type.Union([Type.String(), Type.Null()]),
    secret: closed({ name: Type.String(), namespace: Namespace }, { title: 'DeliveredSecret' }),
    certificate: Type.Union([Id, Type.Null()], {
      description: 'The one that was last seen in the Secret',
    }),
    syncedAt: Type.Union([Timestamp, Type.Null()], {
      description: 'When the Secret was last seen to be as it should',
    }),
  },
  { title: 'DeliveryTarget' },
)

/** A delivery as it is shown. */
export const Delivery = closed(
  {
    name: Name,
    tenant: Name,
    ...asked,
    clusters: Type.Array(Name, { description: 'None of one that is being taken off them' }),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    removedAt: Type.Union([Timestamp, Type.Null()], {
      description: 'Not null: being taken off its clusters; gone when that is done',
    }),
    status: closed(
      {
        certificate: closed(
          {
            id: Id,
            serial: Type.String(),
            notAfter: Timestamp,
            autoRenew: Type.Boolean(),
          },
          { title: 'DeliveredCertificate' },
        ),
        warnings: Type.Array(Type.String()),
        clusters: Type.Array(TargetView),
      },
      { title: 'DeliveryStatus' },
    ),
  },
  { title: 'Delivery' },
)
export type Delivery = Type.Static<typeof Delivery>
