import type Type from 'typebox'
import { AuditEvent } from '../../../audit/event.ts'
import { Authority } from '../../../authorities/authority.ts'
import { Certificate } from '../../../certificates/certificate.ts'
import { Expiries } from '../../../certificates/search/expiries.ts'
import { CertificateFilter } from '../../../certificates/search/filter.ts'
import { CertificateGroup } from '../../../certificates/search/groups.ts'
import { Inventory } from '../../../certificates/search/inventory.ts'
import { Cluster } from '../../../clusters/cluster.ts'
import { ClusterQuery } from '../../../clusters/find.ts'
import { ForeignCertificate, Gateway } from '../../../clusters/foreign/schema.ts'
import { findListeners } from '../../../clusters/listeners/find.ts'
import { ListenerQuery, ListenerRow } from '../../../clusters/listeners/row.ts'
import { HostPlan } from '../../../delivery/preview/hostplan.ts'
import { ProbeResults } from '../../../delivery/proof/probe.ts'
import { DeliveryQuery } from '../../../delivery/secrets/find.ts'
import { Delivery } from '../../../delivery/secrets/schema.ts'
import { Event } from '../../../events/event.ts'
import { ClientsView, CompleteSpec, Host, PlacementView } from '../../../hosts/host.ts'
import { HostQuery } from '../../../hosts/request/query.ts'
import { Destination, destinationsOf, Route } from '../../../hosts/route.ts'
import { type Cursored, Total } from '../../../shared/lists/query.ts'
import { Tenant } from '../../../tenants/tenant.ts'
import { versionOf } from '../../edge/conditions.ts'
import { versionedHost } from '../../rest/hosts.ts'
import { type Field, relation } from '../field.ts'
import type { Shape } from '../sdl.ts'
import { connectionOf, connectionShape, groupsField, list, PageInfo } from './connection.ts'
import type { Loads, PageLoad } from './loads.ts'

// Where a wire shape has a name, GraphQL has the thing itself. The rest of each type is its shape.

const tenant: Shape = {
  name: 'Tenant',
  schema: Tenant,
  fields: {
    defaultAuthority: relation<Tenant>(
      'Authority',
      'The authority that signs where none is named',
      ({ defaultAuthority }, { loads }) =>
        defaultAuthority === null ? null : loads.authority(defaultAuthority),
    ),
    hosts: below<Tenant, typeof HostQuery>({
      of: 'Host',
      description: 'By name unless sorted otherwise',
      query: HostQuery,
      load: ({ hostsOfTenant }) => hostsOfTenant,
    }),
    certificates: below<Tenant, typeof CertificateFilter>({
      of: 'Certificate',
      description: 'Soonest end first unless sorted otherwise',
      query: CertificateFilter,
      load: ({ certificatesOfTenant }) => certificatesOfTenant,
    }),
    clusters: below<Tenant, typeof ClusterQuery>({
      of: 'Cluster',
      description: 'Those that its hosts are on, by name unless sorted otherwise',
      query: ClusterQuery,
      load: ({ clustersOfTenant }) => clustersOfTenant,
    }),
    deliveries: below<Tenant, typeof DeliveryQuery>({
      of: 'Delivery',
      description: 'By name unless sorted otherwise',
      query: DeliveryQuery,
      load: ({ deliveriesOfTenant }) => deliveriesOfTenant,
    }),
  },
}

const authority: Shape = {
  name: 'Authority',
  schema: Authority,
  fields: {
    parent: relation<Authority>(
      'Authority',
      'The authority above it; null: a root, or signed elsewhere',
      ({ parent }, { loads }) => (parent === null ? null : loads.authority(parent)),
    ),
    tenant: relation<Authority>(
      'Tenant',
      'The one tenant that may use it; null: every tenant',
      (own, { loads }) => (own.tenant === null ? null : loads.tenant(own.tenant)),
    ),
    certificates: below<Authority, typeof CertificateFilter>({
      of: 'Certificate',
      description: 'Those that it signed and the API key may see, soonest end first',
      query: CertificateFilter,
      load: ({ certificatesOfAuthority }) => certificatesOfAuthority,
    }),
  },
}

const certificate: Shape = {
  name: 'Certificate',
  schema: Certificate,
  fields: {
    tenant: relation<Certificate>('Tenant!', 'Whose it is', (own, { loads }) =>
      loads.tenant(own.tenant),
    ),
    authority: relation<Certificate>(
      'Authority',
      'Who signed it; null: it was removed, or the certificate was uploaded',
      (own, { loads }) => (own.authority === null ? null : loads.authority(own.authority)),
    ),
    host: relation<Certificate>('Host', 'The host that it is made for', (own, { loads }) =>
      own.host === null ? null : loads.hostOfCertificate(own.id),
    ),
    clusters: relation<Certificate>(
      '[Placement!]!',
      'Where it was last seen to be served',
      async (own, { loads }) => (await loads.placementsOfCertificate(own.id)) ?? [],
    ),
  },
}

const host: Shape = {
  name: 'Host',
  schema: Host,
  without: [...Object.keys(CompleteSpec.properties), 'status'],
  fields: {
    tenant: relation<Host>('Tenant!', 'Whose it is', (own, { loads }) => loads.tenant(own.tenant)),
    etag: relation<Host>(
      'String!',
      'Of what can be written of it, for ifMatch; the ETag of REST begins with it',
      (own) => versionOf(own, versionedHost),
    ),
    spec: relation<Host>('HostSpec!', 'What was asked for, complete with defaults', (own) => own),
    certificate: relation<Host>('Certificate', 'The certificate in use', ({ status }, { loads }) =>
      status.certificate === null ? null : loads.certificate(status.certificate.id),
    ),
    clients: relation<Host>(
      'HostClients',
      'Whose client certificates it accepts; null: it asks for none',
      ({ status }) => status.clients,
    ),
    warnings: relation<Host>(
      '[String!]!',
      'What is served as asked and may still surprise',
      ({ status }) => status.warnings,
    ),
    placements: relation<Host>(
      '[Placement!]!',
      'How it stands on each cluster',
      ({ status }) => status.clusters,
    ),
  },
}

const route: Shape = {
  name: 'Route',
  schema: Route,
  fields: {
    to: relation<Route>(
      'WeightedDestination',
      'Where its requests go: the first destination; null: they are redirected',
      (own) => destinationsOf(own)[0] ?? null,
    ),
    destinations: relation<Route>(
      '[WeightedDestination!]!',
      'Where its requests go, each destination with its weight',
      destinationsOf,
    ),
  },
}

const placement: Shape = {
  name: 'Placement',
  schema: PlacementView,
  fields: {
    cluster: relation<PlacementView>('Cluster!', 'Where', (own, { loads }) =>
      loads.cluster(own.cluster),
    ),
  },
}

const cluster: Shape = {
  name: 'Cluster',
  schema: Cluster,
  fields: {
    hosts: below<Cluster, typeof HostQuery>({
      of: 'Host',
      description: 'Those on it that the API key may see, by name unless sorted otherwise',
      query: HostQuery,
      load: ({ hostsOfCluster }) => hostsOfCluster,
    }),
    gateways: relation<Cluster>(
      '[Gateway!]!',
      'Its gateway pods, as they were last read for their certificates; for platform-wide roles',
      async ({ name }, { loads }) => (await loads.gatewaysOfCluster(name)) ?? [],
    ),
    listeners: list({
      of: 'Listener',
      description: 'What the Envoys of its ingresses listen for, read from every gateway pod now',
      args: {},
      query: ListenerQuery,
      page: (query, { ctx, actor }, { name }: Cluster) =>
        findListeners(ctx, actor, { name, query }),
    }),
  },
}

const listener: Shape = {
  name: 'Listener',
  schema: ListenerRow,
  fields: {
    tenant: relation<ListenerRow>('Tenant', 'Whose host it is', (own, { loads }) =>
      own.tenant === null ? null : loads.tenant(own.tenant),
    ),
    host: relation<ListenerRow>('Host', 'The host of this chain', ({ tenant, host }, { loads }) =>
      tenant === null || host === null ? null : loads.host(`${tenant}/${host}`),
    ),
  },
}

const foreignCertificate: Shape = {
  name: 'ForeignCertificate',
  schema: ForeignCertificate,
  fields: {
    cluster: relation<ForeignCertificate>('Cluster!', 'Where', (own, { loads }) =>
      loads.cluster(own.cluster),
    ),
  },
}

const auditEvent: Shape = {
  name: 'AuditEvent',
  schema: AuditEvent,
  fields: {
    tenant: relation<AuditEvent>(
      'Tenant',
      'The tenant that it concerns; null: no one tenant, or one that is gone',
      (own, { loads }) => (own.tenant === null ? null : loads.tenant(own.tenant)),
    ),
  },
}

const delivery: Shape = {
  name: 'Delivery',
  schema: Delivery,
  fields: {
    tenant: relation<Delivery>('Tenant!', 'Whose it is', (own, { loads }) =>
      loads.tenant(own.tenant),
    ),
    certificate: relation<Delivery>(
      'Certificate',
      'The one that is delivered: the newest of its line',
      (own, { loads }) => loads.certificate(own.certificate),
    ),
  },
}

const inventory: Shape = {
  name: 'Inventory',
  schema: Inventory,
  fields: {
    authority: relation<Inventory>(
      'Authority',
      'Who signed them; null: it was removed, or they were uploaded',
      (own, { loads }) => (own.authority === null ? null : loads.authority(own.authority)),
    ),
  },
}

const event: Shape = {
  name: 'Event',
  schema: Event,
  fields: {
    tenant: relation<Event>(
      'Tenant',
      'Whose it is; null: it concerns no one tenant',
      (own, { loads }) => (own.tenant === null ? null : loads.tenant(own.tenant)),
    ),
    host: relation<Event>(
      'Host',
      'The host that it is about, as it stands now; null: it is gone, or about something else',
      ({ tenant, subject }, { loads }) =>
        tenant === null || subject.kind !== 'host' ? null : loads.host(`${tenant}/${subject.name}`),
    ),
    certificate: relation<Event>(
      'Certificate',
      'The certificate that it is about, as it stands now; null: it is about something else',
      ({ subject }, { loads }) =>
        subject.kind === 'certificate' ? loads.certificate(subject.id) : null,
    ),
  },
}

/** A list of things below another one that is known by its name. */
function below<Parent extends { readonly name: string }, Query extends Type.TObject>({
  load,
  ...of
}: {
  readonly of: string
  readonly description: string
  readonly query: Query
  readonly load: (loads: Loads) => PageLoad<unknown, Cursored<Type.Static<Query>>>
}): Field {
  return list({
    ...of,
    args: {},
    page: (query, { loads }, { name }: Parent) => load(loads).page(name, query),
    total: (query, { loads }, { name }: Parent) => load(loads).total(name, query),
  })
}

const listed = [
  ...[tenant, authority, certificate, host, delivery],
  ...[cluster, listener, foreignCertificate, auditEvent],
]

/** Every type of the answers: the nouns, and the connection of each that is listed. */
export const types: readonly Shape[] = [
  ...listed,
  placement,
  event,
  { name: 'Gateway', schema: Gateway },
  { name: 'HostSpec', schema: CompleteSpec },
  route,
  { name: 'WeightedDestination', schema: Destination },
  { name: 'HostClients', schema: ClientsView },
  { name: 'HostPlan', schema: HostPlan },
  { name: 'ProbeResults', schema: ProbeResults },
  { name: 'Expiries', schema: Expiries },
  ...listed.flatMap(({ name }) => connectionOf(name)),
  connectionShape('Certificate', 'ExpiringCertificate', { groups: groupsField }),
  { name: 'CertificateGroup', schema: CertificateGroup },
  inventory,
  PageInfo,
  { name: 'Total', schema: Total },
]
