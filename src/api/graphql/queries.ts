import Type from 'typebox'
import { auditFilter } from '../../audit/event.ts'
import { findAuditEvents } from '../../audit/find.ts'
import { getAuthority, listAuthorities } from '../../authorities/find.ts'
import { getCertificate, listAllCertificates, listCertificates } from '../../certificates/find.ts'
import { ExpiryStep, expiries } from '../../certificates/search/expiries.ts'
import {
  type CertificateFilter,
  CertificateSort,
  filters,
} from '../../certificates/search/filter.ts'
import { getCluster, listClusters } from '../../clusters/find.ts'
import { planHost } from '../../delivery/preview/hostplan.ts'
import { ProbeRequest, probeHost } from '../../delivery/proof/probe.ts'
import { getDelivery, listDeliveries } from '../../delivery/secrets/find.ts'
import { getHost, listHosts } from '../../hosts/find.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, HostnameText, Id, Name } from '../../shared/schema.ts'
import { getTenant, listTenants } from '../../tenants/find.ts'
import { type Asking, field, pageArgs, pageQuery } from './field.ts'
import type { Shape } from './sdl.ts'

const { status: _status, expiringWithin: _within, ...narrowed } = filters
const period = Type.String({ maxLength: 20, description: 'ISO 8601 period: P30D, P4W, PT12H' })

/** A thing by its name is null where it is not there or not the actor's to see; a list is refused by a
 *  problem instead, since an empty one would say that there is nothing. */
const fields: Shape['fields'] = {
  tenants: field({
    type: 'TenantPage',
    description: 'By name',
    args: pageArgs,
    resolve: (_: unknown, args, { ctx, actor }) => listTenants(ctx, actor, pageQuery(args)),
  }),
  tenant: field({
    type: 'Tenant',
    description: 'A tenant by name',
    args: { name: Name },
    resolve: (_: unknown, { name }, { ctx, actor }) => orNull(getTenant(ctx, actor, name)),
  }),
  authorities: field({
    type: 'AuthorityPage',
    description: 'By name',
    args: pageArgs,
    resolve: (_: unknown, args, { ctx, actor }) => listAuthorities(ctx, actor, pageQuery(args)),
  }),
  authority: field({
    type: 'Authority',
    description: 'An authority by name',
    args: { name: Name },
    resolve: (_: unknown, { name }, { ctx, actor }) => orNull(getAuthority(ctx, actor, name)),
  }),
  clusters: field({
    type: 'ClusterPage',
    description: 'By name',
    args: pageArgs,
    resolve: (_: unknown, args, { ctx, actor }) => listClusters(ctx, actor, pageQuery(args)),
  }),
  cluster: field({
    type: 'Cluster',
    description: 'A cluster by name',
    args: { name: Name },
    resolve: (_: unknown, { name }, { ctx, actor }) => orNull(getCluster(ctx, actor, name)),
  }),
  hosts: field({
    type: 'HostPage',
    description: 'The hosts of a tenant, by name',
    args: { tenant: Name, ...pageArgs },
    resolve: (_: unknown, args, { ctx, actor }) => listHosts(ctx, actor, pageQuery(args)),
  }),
  host: field({
    type: 'Host',
    description: 'A host by name',
    args: { tenant: Name, name: HostnameText },
    resolve: (_: unknown, args, { ctx, actor }) => orNull(getHost(ctx, actor, args)),
  }),
  deliveries: field({
    type: 'DeliveryPage',
    description: 'The deliveries of a tenant, by name',
    args: { tenant: Name, ...pageArgs },
    resolve: (_: unknown, args, { ctx, actor }) => listDeliveries(ctx, actor, pageQuery(args)),
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
  certificates: field({
    type: 'CertificatePage',
    description:
      'Soonest end first unless sorted otherwise; of every tenant that the API key sees where none is named',
    args: {
      tenant: Type.Optional(Name),
      ...filters,
      sort: Type.Optional(CertificateSort),
      ...pageArgs,
    },
    resolve: (_: unknown, args, asking) => certificates(asking, pageQuery(args)),
  }),
  certificate: field({
    type: 'Certificate',
    description: 'A certificate by id',
    args: { tenant: Name, id: Id },
    resolve: (_: unknown, args, { ctx, actor }) => orNull(getCertificate(ctx, actor, args)),
  }),
  expiringCertificates: field({
    type: 'CertificatePage',
    description: 'Those that end within a period and have not ended yet, soonest first',
    args: {
      within: period,
      tenant: Type.Optional(Name),
      ...narrowed,
      ...pageArgs,
    },
    resolve: (_: unknown, { within, ...args }, asking) =>
      certificates(asking, { ...pageQuery(args), expiringWithin: within }),
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
  auditEvents: field({
    type: 'AuditEventPage',
    description: 'The audit trail, newest first',
    args: { ...auditFilter, ...pageArgs },
    resolve: (_: unknown, args, { ctx, actor }) => findAuditEvents(ctx, actor, pageQuery(args)),
  }),
}

/** What can be asked. */
export const query: Shape = { name: 'Query', schema: closed({}), fields }

async function certificates(
  { ctx, actor }: Asking,
  { tenant, ...filter }: CertificateFilter & { readonly tenant?: string },
) {
  const [own] =
    tenant === undefined && actor.tenantId !== null
      ? (await listTenants(ctx, actor, { limit: 1 })).items
      : []
  const name = tenant ?? own?.name
  return name === undefined
    ? listAllCertificates(ctx, actor, filter)
    : listCertificates(ctx, actor, { ...filter, tenant: name })
}

async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null
    throw error
  }
}
