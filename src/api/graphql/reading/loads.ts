import { setImmediate } from 'node:timers/promises'
import type { Authority } from '../../../authorities/authority.ts'
import { authoritiesByNames } from '../../../authorities/find.ts'
import type { Certificate } from '../../../certificates/certificate.ts'
import { certificatesByIds } from '../../../certificates/find.ts'
import type { CertificateFilter } from '../../../certificates/search/filter.ts'
import type { Cluster } from '../../../clusters/cluster.ts'
import { type ClusterQuery, clusterView } from '../../../clusters/find.ts'
import { gatewaysOfClusters } from '../../../clusters/foreign/find.ts'
import type { Gateway } from '../../../clusters/foreign/schema.ts'
import { type Actor, allow } from '../../../core/actor.ts'
import { canonical } from '../../../core/canonical.ts'
import type { Context } from '../../../core/context.ts'
import type { DeliveryQuery } from '../../../delivery/secrets/find.ts'
import type { Delivery } from '../../../delivery/secrets/schema.ts'
import { hostsByIds, placementsByHostIds } from '../../../hosts/find.ts'
import type { Host, PlacementView } from '../../../hosts/host.ts'
import type { HostQuery } from '../../../hosts/request/query.ts'
import type { List, Total } from '../../../shared/lists/query.ts'
import { tenantsByNames } from '../../../tenants/find.ts'
import type { Tenant } from '../../../tenants/tenant.ts'
import {
  certificatesOfAuthorities,
  certificatesOfTenants,
  clustersOfTenants,
  deliveriesOfTenants,
  hostsOfClusters,
  hostsOfTenants,
  type Pages,
} from './pages.ts'

/** Answers for one key out of a read for many. */
export type Load<T> = (key: string) => Promise<T | undefined>

/** The relations between things, as one request reads them: gathered, and only what its actor may see. */
export type Loads = {
  readonly tenant: Load<Tenant>
  readonly authority: Load<Authority>
  readonly cluster: Load<Cluster>
  /** By `tenant/name`. */
  readonly host: Load<Host>
  /** By id. */
  readonly certificate: Load<Certificate>
  /** By the id of the certificate. */
  readonly hostOfCertificate: Load<Host>
  readonly placementsOfCertificate: Load<readonly PlacementView[]>
  /** By the name of the cluster. */
  readonly gatewaysOfCluster: Load<readonly Gateway[]>
  /** By the parent's name. */
  readonly hostsOfTenant: PageLoad<Host, HostQuery>
  readonly certificatesOfTenant: PageLoad<Certificate, CertificateFilter>
  readonly clustersOfTenant: PageLoad<Cluster, ClusterQuery>
  readonly deliveriesOfTenant: PageLoad<Delivery, DeliveryQuery>
  readonly hostsOfCluster: PageLoad<Host, HostQuery>
  readonly certificatesOfAuthority: PageLoad<Certificate, CertificateFilter>
}

/** A list below one parent, out of a read for many. */
export type PageLoad<T, Query> = {
  readonly page: (parent: string, query: Query) => Promise<List<T>>
  readonly total: (parent: string, query: Query) => Promise<Total>
}

/** What one request reads of relations, on its actor's behalf. */
export function loadsFor(ctx: Context, actor: Actor): Loads {
  const byName = <T extends { readonly name: string }>(read: Reader<T>) =>
    loader(async (names) => keyed(await read(ctx, actor, names), ({ name }) => name))
  return {
    tenant: byName(tenantsByNames),
    authority: byName(authoritiesByNames),
    cluster: byName(clustersByNames),
    host: loader((keys) => hostsByNames(ctx, actor, keys)),
    certificate: loader(async (ids) =>
      keyed(await certificatesByIds(ctx, actor, ids), ({ id }) => id),
    ),
    hostOfCertificate: loader((ids) => hostsOfCertificates(ctx, actor, ids)),
    placementsOfCertificate: loader((ids) => placementsOfCertificates(ctx, actor, ids)),
    gatewaysOfCluster: loader((names) => gatewaysOfClusters(ctx, actor, names)),
    hostsOfTenant: pageLoad(ctx, actor, hostsOfTenants),
    certificatesOfTenant: pageLoad(ctx, actor, certificatesOfTenants),
    clustersOfTenant: pageLoad(ctx, actor, clustersOfTenants),
    deliveriesOfTenant: pageLoad(ctx, actor, deliveriesOfTenants),
    hostsOfCluster: pageLoad(ctx, actor, hostsOfClusters),
    certificatesOfAuthority: pageLoad(ctx, actor, certificatesOfAuthorities),
  }
}

type Reader<T> = (ctx: Context, actor: Actor, keys: readonly string[]) => Promise<readonly T[]>

function keyed<T>(items: readonly T[], key: (item: T) => string): ReadonlyMap<string, T> {
  return new Map(items.map((item) => [key(item), item]))
}

function pageLoad<T, Query>(
  ctx: Context,
  actor: Actor,
  { page, total }: Pages<T, Query>,
): PageLoad<T, Query> {
  const pageOf = sameQuery((query: Query, parents) => page({ ctx, actor, parents, query }))
  const totalOf = sameQuery((query: Query, parents) => total({ ctx, actor, parents, query }))
  return {
    page: async (parent, query) => (await pageOf(parent, query)) ?? { items: [], nextCursor: null },
    total: async (parent, query) => (await totalOf(parent, query)) ?? { value: 0, exact: true },
  }
}

/** Parents that are asked for the same are asked together. */
function sameQuery<T, Query>(
  read: (query: Query, parents: readonly string[]) => Promise<ReadonlyMap<string, T>>,
): (parent: string, query: Query) => Promise<T | undefined> {
  const loads = new Map<string, Load<T>>()
  return (parent, query) => {
    const key = canonical(query)
    const load = loads.get(key) ?? loader((parents) => read(query, parents))
    loads.set(key, load)
    return load(parent)
  }
}

async function clustersByNames(
  ctx: Context,
  actor: Actor,
  names: readonly string[],
): Promise<readonly Cluster[]> {
  allow(actor, 'read')
  const rows = await ctx.db.read.cluster.findMany({ where: { name: { in: [...names] } } })
  return rows.map((row) => clusterView(row, actor))
}

async function hostsByNames(
  ctx: Context,
  actor: Actor,
  keys: readonly string[],
): Promise<ReadonlyMap<string, Host>> {
  const rows = await ctx.db.read.host.findMany({
    where: { name: { in: keys.map((key) => key.slice(key.indexOf('/') + 1)) } },
    select: { id: true, name: true, tenant: { select: { name: true } } },
  })
  const ids = new Map(rows.map(({ id, name, tenant }) => [`${tenant.name}/${name}`, id]))
  const asked = keys.flatMap((key) => ids.get(key) ?? [])
  const hosts = keyed(await hostsByIds(ctx, actor, asked), ({ id }) => id)
  return new Map(
    keys.flatMap((key) => {
      const host = hosts.get(ids.get(key) ?? '')
      return host ? [[key, host] as const] : []
    }),
  )
}

/** The host that each certificate was made for, where it is still there. */
async function hostsOfCertificates(
  ctx: Context,
  actor: Actor,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Host>> {
  const made = await ctx.db.read.certificate.findMany({
    where: { id: { in: [...ids] }, hostId: { not: null } },
    select: { id: true, hostId: true },
  })
  const hostIds = made.flatMap(({ hostId }) => hostId ?? [])
  const hosts = keyed(await hostsByIds(ctx, actor, [...new Set(hostIds)]), ({ id }) => id)
  return new Map(
    made.flatMap(({ id, hostId }) => {
      const host = hosts.get(hostId ?? '')
      return host ? [[id, host] as const] : []
    }),
  )
}

/** Where each certificate was last seen to be served. */
async function placementsOfCertificates(
  ctx: Context,
  actor: Actor,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly PlacementView[]>> {
  const serving = await ctx.db.read.placement.findMany({
    where: { certificateId: { in: [...ids] } },
    select: { hostId: true, clusterId: true, certificateId: true },
  })
  const hostIds = [...new Set(serving.map(({ hostId }) => hostId))]
  const placements = await placementsByHostIds(ctx, actor, hostIds)
  const certificates = new Map(
    serving.map((each) => [`${each.hostId}/${each.clusterId}`, each.certificateId]),
  )
  return Map.groupBy(
    placements.filter(({ hostId, clusterId }) => certificates.has(`${hostId}/${clusterId}`)),
    ({ hostId, clusterId }) => certificates.get(`${hostId}/${clusterId}`) ?? '',
  )
}

/** Gathers the keys that are asked for in one turn of the event loop and reads them at once, each of
 *  them once: so a page of a hundred things costs as many statements as a page of one. For one
 *  request, whose actor `read` knows. */
function loader<T>(read: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>): Load<T> {
  const answers = new Map<string, Promise<T | undefined>>()
  let waiting: string[] = []
  let batch: Promise<ReadonlyMap<string, T>> | undefined

  async function readWaiting(): Promise<ReadonlyMap<string, T>> {
    await setImmediate()
    const keys = waiting
    waiting = []
    batch = undefined
    return read(keys)
  }

  return (key) => {
    const known = answers.get(key)
    if (known) return known
    waiting.push(key)
    batch ??= readWaiting()
    const answer = batch.then((found) => found.get(key))
    answers.set(key, answer)
    return answer
  }
}
