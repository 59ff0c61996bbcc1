import Type from 'typebox'
import { closed, KeyAlgorithm, Name, Namespace, Profile, Timestamp } from '../words/schema.ts'

/** How long before its end a certificate is renewed. */
export const RenewBefore = closed(
  {
    days: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650 })),
    percent: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 99, description: 'Of the lifetime' }),
    ),
  },
  {
    title: 'RenewBefore',
    description:
      'How long before their end certificates are renewed, by days or by percent (a third of the lifetime); up to a tenth of the lifetime earlier, so that not all come due at once',
  },
)
export type RenewBefore = Type.Static<typeof RenewBefore>

/** What a tenant may ask for. Everything left out is not limited beyond the authority's own rules. */
export const Policy = closed({
  maxValidityDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650 })),
  keyAlgorithms: Type.Optional(Type.Array(KeyAlgorithm, { minItems: 1, maxItems: 6 })),
  profiles: Type.Optional(
    Type.Array(Profile, {
      minItems: 1,
      maxItems: 3,
      uniqueItems: true,
      description: 'What its certificates may be for (all)',
    }),
  ),
  wildcards: Type.Optional(Type.Boolean({ description: 'May names begin with *. (true)' })),
  ipRanges: Type.Optional(
    Type.Array(Type.String({ maxLength: 64 }), {
      maxItems: 100,
      description: 'CIDR ranges whose addresses may be certified (none)',
    }),
  ),
  renewBefore: Type.Optional(RenewBefore),
})
export type Policy = Type.Static<typeof Policy>

const fields = {
  displayName: Type.String({ minLength: 1, maxLength: 200 }),
  domains: Type.Array(Type.String({ maxLength: 255 }), {
    maxItems: 100,
    description: 'Hosts and certificates of the tenant lie under these domains',
  }),
  namespaces: Type.Array(Namespace, {
    maxItems: 100,
    description: 'Kubernetes namespaces that the tenant routes to',
  }),
  defaultAuthority: Type.Union([Name, Type.Null()], {
    description: 'The authority that signs where none is named',
  }),
  policy: Policy,
}

export const NewTenant = closed({
  name: Name,
  displayName: Type.Optional(fields.displayName),
  domains: fields.domains,
  namespaces: Type.Optional(fields.namespaces),
  defaultAuthority: Type.Optional(fields.defaultAuthority),
  policy: Type.Optional(fields.policy),
})
export type NewTenant = Type.Static<typeof NewTenant>

export const TenantPatch = closed({
  displayName: Type.Optional(fields.displayName),
  domains: Type.Optional(fields.domains),
  namespaces: Type.Optional(fields.namespaces),
  defaultAuthority: Type.Optional(fields.defaultAuthority),
  policy: Type.Optional(fields.policy),
})
export type TenantPatch = Type.Static<typeof TenantPatch>

export const Tenant = closed(
  { name: Name, ...fields, createdAt: Timestamp, updatedAt: Timestamp },
  { title: 'Tenant' },
)
export type Tenant = Type.Static<typeof Tenant>
