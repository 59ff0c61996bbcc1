import Type from 'typebox'
import { askedMarks, shownMarks } from '../shared/lists/labels.ts'
import { closed, KeyAlgorithm, Name, Namespace, Profile, Timestamp } from '../shared/schema.ts'
import { Affected } from './domains/affected.ts'
import { AskedQuotas, Quotas, Usage } from './quotas/limits.ts'

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

const TimeOfDay = Type.String({
  pattern: '^([01][0-9]|2[0-3]):(00|15|30|45)$',
  description: 'HH:MM, a quarter of an hour',
})

/** When automatic renewal may happen. */
export const RenewalWindows = closed(
  {
    timeZone: Type.String({
      minLength: 1,
      maxLength: 64,
      description: 'A name of the IANA time zone database, such as Europe/Berlin',
    }),
    windows: Type.Array(
      closed(
        {
          days: Type.Array(
            Type.Enum(
              ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'],
              { title: 'Weekday' },
            ),
            { minItems: 1, maxItems: 7, uniqueItems: true, description: 'On which it begins' },
          ),
          from: TimeOfDay,
          to: TimeOfDay,
        },
        {
          title: 'TimeWindow',
          description: 'To the next day where `to` is no later than `from`',
        },
      ),
      { minItems: 1, maxItems: 14, description: 'Any of them will do' },
    ),
  },
  {
    title: 'RenewalWindows',
    description:
      'When certificates that are due may be renewed by themselves (at any time). One that would end before the next window closes is renewed all the same, and says so (`reason` early). What was revoked, ordered or asked for, or no longer fits, never waits',
  },
)
export type RenewalWindows = Type.Static<typeof RenewalWindows>

const allowed = (maxLength: number) =>
  Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength }), { maxItems: 100 }))

/** What stands in the subjects of a tenant's certificates: a field that is listed has one of these values
 *  and no other; what is left out may be anything that is not somebody else's (src/tenants/subject.ts). */
const SubjectPolicy = closed(
  {
    commonName: allowed(64),
    organization: allowed(64),
    organizationalUnit: allowed(64),
    country: allowed(2),
    locality: allowed(128),
    state: allowed(128),
    street: allowed(128),
    title: allowed(64),
    givenName: allowed(128),
    surname: allowed(128),
    userId: allowed(256),
    serialNumber: allowed(64),
    domainComponents: allowed(255),
  },
  {
    title: 'SubjectPolicy',
    description:
      'Values that the subjects of certificates may have, field by field. A field that is not listed may be anything but the name of another tenant, system: and kubeadm: (the users and groups of Kubernetes), a commonName that reads as a host name outside the domains, words with letters of several alphabets, and letters that nobody sees. domainComponents are listed as the domain that they spell: example.com',
  },
)

/** What becomes of the certificates of a host that is removed. */
export const OnRemoval = Type.Enum(['keep', 'revoke'], {
  title: 'OnRemoval',
  description:
    'What becomes of the certificates of a host that is removed: they stay good until they end (keep), or are revoked for cessationOfOperation at once',
})

/** What a subject has only where a policy permits it. */
export const FurtherAttribute = Type.Enum(
  [
    ...(['organizationalUnits', 'domainComponents', 'street', 'title'] as const),
    ...(['givenName', 'surname', 'userId', 'serialNumber'] as const),
  ],
  {
    title: 'SubjectAttribute',
    description:
      'Several organizationalUnits, domainComponents that spell a domain of the tenant, street, title, givenName, surname, userId, or serialNumber of a subject',
  },
)
export type FurtherAttribute = Type.Static<typeof FurtherAttribute>

/** What becomes of a CSR whose subject has more than is issued. */
const CsrSubject = Type.Enum(['refuse', 'leave-out'], {
  title: 'CsrSubjectPolicy',
  description:
    'A CSR whose subject has attributes that are not issued (of a type that nobody knows here, or that subjectAttributes does not permit) is refused (refuse, the default), or certified without them, and the answer names what was left out (leave-out)',
})

/** What a tenant may ask for. Everything left out is not limited beyond the authority's own rules. */
export const Policy = closed(
  {
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
    renewalWindows: Type.Optional(RenewalWindows),
    subject: Type.Optional(SubjectPolicy),
    subjectAttributes: Type.Optional(
      Type.Array(FurtherAttribute, {
        maxItems: 8,
        uniqueItems: true,
        description:
          'What subjects may have beyond commonName, organization, organizationalUnit, country, locality and state (nothing)',
      }),
    ),
    csrSubject: Type.Optional(CsrSubject),
    onHostRemoval: Type.Optional(OnRemoval),
  },
  { title: 'TenantPolicy' },
)
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

const quotas = { quotas: Type.Optional(AskedQuotas) }

export const NewTenant = closed(
  {
    name: Name,
    displayName: Type.Optional(fields.displayName),
    domains: fields.domains,
    namespaces: Type.Optional(fields.namespaces),
    defaultAuthority: Type.Optional(fields.defaultAuthority),
    policy: Type.Optional(fields.policy),
    ...quotas,
    ...askedMarks,
  },
  {
    title: 'NewTenant',
    examples: [
      {
        name: 'example',
        displayName: 'Example Inc.',
        domains: ['example.com'],
        namespaces: ['test'],
        defaultAuthority: 'example-issuing',
        policy: { maxValidityDays: 90 },
      },
    ],
  },
)
export type NewTenant = Type.Static<typeof NewTenant>

export const TenantPatch = closed(
  {
    displayName: Type.Optional(fields.displayName),
    domains: Type.Optional(fields.domains),
    namespaces: Type.Optional(fields.namespaces),
    defaultAuthority: Type.Optional(fields.defaultAuthority),
    policy: Type.Optional(fields.policy),
    ...quotas,
    ...askedMarks,
  },
  {
    title: 'TenantPatch',
    examples: [{ labels: { 'cost-center': '4711' }, contact: 'tls@example.com' }],
  },
)
export type TenantPatch = Type.Static<typeof TenantPatch>

const shown = {
  name: Name,
  ...fields,
  ...shownMarks,
  quotas: Quotas,
  usage: Type.Optional(Usage),
  createdAt: Timestamp,
  updatedAt: Timestamp,
}

export const Tenant = closed(shown, { title: 'Tenant' })
export type Tenant = Type.Static<typeof Tenant>

/** The tenant after a change, with what of all tenants is no longer under its own domains since; left out
 *  when nothing is. */
export const ChangedTenant = closed(
  { ...shown, affected: Type.Optional(Affected) },
  { title: 'ChangedTenant' },
)
export type ChangedTenant = Type.Static<typeof ChangedTenant>
