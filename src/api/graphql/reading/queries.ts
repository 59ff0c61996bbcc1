import Type from 'typebox'
import { AuditQuery } from '../../../audit/event.ts'
import { findAuditEvents } from '../../../audit/find.ts'
import { AuthorityQuery, getAuthority, listAuthorities } from '../../../authorities/find.ts'
import {
  getCertificate,
  listAllCertificates,
  listCertificates,
} from '../../../certificates/find.ts'
import { ExpiryStep, expiries } from '../../../certificates/search/expiries.ts'
import { CertificateFilter, CertificateSort, filters } from '../../../certificates/search/filter.ts'
import { certificateGroups, Grouping } from '../../../certificates/search/groups.ts'
import { inventory } from '../../../certificates/search/inventory.ts'
import { ClusterQuery, getCluster, listClusters } from '../../../clusters/find.ts'
import { listForeign } from '../../../clusters/foreign/find.ts'
import { ForeignQuery } from '../../../clusters/foreign/schema.ts'
import type { Actor } from '../../../core/actor.ts'
import type { Context } from '../../../core/context.ts'
import { planHost } from '../../../delivery/preview/hostplan.ts'
import { ProbeRequest, probeHost } from '../../../delivery/proof/probe.ts'
import { DeliveryQuery, getDelivery, listDeliveries } from '../../../delivery/secrets/find.ts'
import { getHost, listAllHosts, listHosts } from '../../../hosts/find.ts'
import { HostQuery } from '../../../hosts/request/query.ts'
import { listQuery } from '../../../shared/lists/query.ts'
import { Problem } from '../../../shared/problem.ts'
import { closed, HostnameText, Id, Name } from '../../../shared/schema.ts'
import { getTenant, listTenants, TenantQuery } from '../../../tenants/find.ts'
import { type Asking, field } from '../field.ts'
import type { Shape } from '../sdl.ts'
import { list } from './connection.ts'

const { status: _status, expiringWithin: _within, ...narrowed } = filters
const Narrowed = listQuery(CertificateSort, narrowed)
const period = Type.String({ maxLength: 20, description: 'ISO 8601 period: P30D, P4W, PT12H' })

/** A thing by its name is null where it is not there or not the actor's to see; a list is refused by a
 *  problem instead, since an empty one would say that there is nothing. */
const fields: Shape['fields'] = {
  tenants: list({
    of: 'Tenant',
    description: 'By name unless sorted otherwise',
    args: {},
    query: TenantQuery,
    optional: true,
    page: (query, { ctx, actor }) => listTenants(ctx, actor, query),
  }),
  tenant: field({
    type: 'Tenant',
    description: 'A tenant by name',
    args: { name: Name },
    resolve: (_: unknown, { name }, { ctx, actor }) => orNull(getTenant(ctx, actor, name)),
  }),
  authorities: list({
    of: 'Authority',
    description: 'By name unless sorted otherwise',
    args: {},
    query: AuthorityQuery,
    optional: true,
    page: (query, { ctx, actor }) => listAuthorities(ctx, actor, query),
  }),
  authority: field({
    type: 'Authority',
    description: 'An authority by name',
    args: { name: Name },
    resolve: (_: unknown, { name }, { ctx, actor }) => orNull(getAuthority(ctx, actor, name)),
  }),
  clusters: list({
    of: 'Cluster',
    description: 'By name unless sorted otherwise',
    args: {},
    query: ClusterQuery,
    optional: true,
    page: (query, { ctx, actor }) => listClusters(ctx, actor, query),
  }),
  foreignCertificates: list({
    of: 'ForeignCertificate',
    description:
      'Certificates that gateways hold and that nobody has here, soonest end first unless sorted otherwise; for platform-wide roles',
    args: {},
    query: ForeignQuery,
    optional: true,
    page: (query, { ctx, actor }) => listForeign(ctx, actor, query),
  }),
  cluster: field({
    type: 'Cluster',
    description: 'A cluster by name',
    args: { name: Name },
    resolve: (_: unknown, { name }, { ctx, actor }) => orNull(getCluster(ctx, actor, name)),
  }),
  hosts: list({
    of: 'Host',
    description:
      'By name unless sorted otherwise; of every tenant that the API key sees where none is named',
    args: { tenant: Type.Optional(Name) },
    query: HostQuery,
    optional: true,
    page: async ({ tenant, ...query }, { ctx, actor }) => {
      const name = await tenantFor(ctx, actor, tenant)
      return name === undefined
        ? listAllHosts(ctx, actor, query)
        : listHosts(ctx, actor, { ...query, tenant: name })
    },
  }),
  host: field({
    type: 'Host',
    description: 'A host by name',
    args: { tenant: Name, name: HostnameText },
    resolve: (_: unknown, args, { ctx, actor }) => orNull(getHost(ctx, actor, args)),
  }),
  deliveries: list({
    of: 'Delivery',
    description: 'The deliveries of a tenant, by name unless sorted otherwise',
    args: { tenant: Name },
    query: DeliveryQuery,
    optional: true,
    page: (query, { ctx, actor }) => listDeliveries(ctx, actor, query),
  }),
  delivery: field({
    type: 'Delivery',
    description: 'A delivery by name',
    args: { tenant: Name, name: Name },
    resolve: (_: unknown, args, { ctx, actor }) => orNull(getDelivery(ctx, actor, args)),
  }),
  hostPlan: field({
    type: 'HostPlan',
    description:
      'What is still to be done for a host as it stands, on each cluster, and what is in the way; nothing is written',
    args: { tenant: Name, name: HostnameText },
    resolve: (_: unknown, args, { ctx, actor }) => planHost(ctx, actor, { ...args, asked: {} }),
  }),
  hostProbe: field({
    type: 'ProbeResults',
    description: 'What each ingress does for a host, asked now as a client would',
    args: { tenant: Name, name: HostnameText, ...ProbeRequest.properties },
    resolve: (_: unknown, { tenant, name, ...asked }, { ctx, actor }) =>
      probeHost(ctx, actor, { tenant, name, asked }),
  }),
  certificates: list({
    of: 'Certificate',
    description:
      'Soonest end first unless sorted otherwise; of every tenant that the API key sees where none is named',
    args: { tenant: Type.Optional(Name) },
    query: CertificateFilter,
    optional: true,
    page: (query, asking) => certificates(asking, query),
  }),
  certificate: field({
    type: 'Certificate',
    description: 'A certificate by id',
    args: { tenant: Name, id: Id },
    resolve: (_: unknown, args, { ctx, actor }) => orNull(getCertificate(ctx, actor, args)),
  }),
  expiringCertificates: list({
    of: 'Certificate',
    description:
      'Those that end within a period and have not ended yet, soonest first unless sorted otherwise',
    args: { within: period, tenant: Type.Optional(Name), groupBy: Type.Optional(Grouping) },
    query: Narrowed,
    optional: true,
    connection: 'ExpiringCertificate',
    page: ({ within, groupBy: _by, ...query }, asking) =>
      certificates(asking, { ...query, expiringWithin: within }),
    groups: ({ within, groupBy: by, ...query }, { ctx, actor }) =>
      by && certificateGroups(ctx, actor, { ...query, by, expiringWithin: within }),
  }),
  expiries: field({
    type: '[Expiries!]!',
    description:
      'How many active certificates end on each day or in each week (from Monday) of a period, UTC; days without one are left out',
    args: {
      within: period,
      by: Type.Optional(ExpiryStep),
      tenant: Type.Optional(Name),
      ...narrowed,
    },
    resolve: (_: unknown, args, { ctx, actor }) => expiries(ctx, actor, args),
  }),
  inventory: field({
    type: '[Inventory!]!',
    description:
      'How many certificates there are by authority, algorithm and size of their keys; of the whole platform as it was ten seconds ago at most',
    args: { tenant: Type.Optional(Name), authority: Type.Optional(Name) },
    resolve: (_: unknown, args, { ctx, actor }) => inventory(ctx, actor, args),
  }),
  auditEvents: list({
    of: 'AuditEvent',
    description: 'The audit trail, newest first unless sorted otherwise',
    args: {},
    query: AuditQuery,
    optional: true,
    page: (query, { ctx, actor }) => findAuditEvents(ctx, actor, query),
  }),
}

/** What can be asked. */
export const query: Shape = { name: 'Query', schema: closed({}), fields }

async function certificates(
  { ctx, actor }: Asking,
  { tenant, ...filter }: CertificateFilter & { readonly tenant?: string },
) {
  const name = await tenantFor(ctx, actor, tenant)
  return name === undefined
    ? listAllCertificates(ctx, actor, filter)
    : listCertificates(ctx, actor, { ...filter, tenant: name })
}

/** The tenant that a list is about: the one that is named, or the actor's own; undefined: all of them. */
async function tenantFor(
  ctx: Context,
  actor: Actor,
  named: string | undefined,
): Promise<string | undefined> {
  if (named !== undefined || actor.tenantId === null) return named
  const [own] = (await listTenants(ctx, actor, { limit: 1 })).items
  return own?.name
}

async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null
    throw error
  }
}
