import { joinedCertificates } from '../../../certificates/find.ts'
import type { CertificateFilter } from '../../../certificates/search/filter.ts'
import { certificateListing, conditionsOf } from '../../../certificates/search/select.ts'
import {
  type ClusterQuery,
  clusterConditions,
  clusterListing,
  joinedClusters,
} from '../../../clusters/find.ts'
import { type Actor, allow } from '../../../core/actor.ts'
import type { Context } from '../../../core/context.ts'
import { type Sql, sql } from '../../../core/database/db.ts'
import {
  countRowsBelow,
  type Listing,
  listRowsBelow,
  type Parents,
  when,
} from '../../../core/database/lists.ts'
import { rowsOwnedBy } from '../../../core/database/rows.ts'
import {
  type DeliveryQuery,
  deliveryConditions,
  deliveryListing,
  listedDeliveries,
} from '../../../delivery/secrets/find.ts'
import { joinedHosts } from '../../../hosts/find.ts'
import {
  type HostQuery,
  hostConditions,
  hostListing,
  type ListedHost,
} from '../../../hosts/request/query.ts'
import type { Cursored, List, ListQuery, NameSort, Total } from '../../../shared/lists/query.ts'
import { must } from '../../../shared/must.ts'

/** The same list below each of many parents, who are known by name. */
export type Pages<T, Query> = {
  readonly page: (asked: Asked<Query>) => Promise<ReadonlyMap<string, List<T>>>
  readonly total: (asked: Asked<Query>) => Promise<ReadonlyMap<string, Total>>
}

type Asked<Query> = {
  readonly ctx: Context
  readonly actor: Actor
  readonly parents: readonly string[]
  readonly query: Query
}

/** The hosts of each tenant. */
export const hostsOfTenants = below({
  listing: hostListing,
  parents: tenants,
  conditions: (_, query: HostQuery) => [
    sql`host."tenantId" = parent."id"`,
    ...hostConditions(null, query),
  ],
  view: joinedHosts,
})

/** The certificates of each tenant. */
export const certificatesOfTenants = below({
  listing: certificateListing,
  parents: tenants,
  conditions: ({ ctx }, query: CertificateFilter) => [
    sql`certificate."tenantId" = parent."id"`,
    ...conditionsOf(ctx.now(), null, query),
  ],
  view: joinedCertificates,
})

/** The clusters that each tenant has hosts on. */
export const clustersOfTenants = below({
  listing: clusterListing,
  parents: tenants,
  conditions: (_, query: ClusterQuery) => [
    sql`exists (select from placement
      where placement."clusterId" = cluster."id" and placement."tenantId" = parent."id")`,
    ...clusterConditions(query),
  ],
  view: joinedClusters,
})

/** The deliveries of each tenant. */
export const deliveriesOfTenants = below({
  listing: deliveryListing,
  parents: tenants,
  conditions: (_, query: DeliveryQuery) => [
    sql`delivery."tenantId" = parent."id"`,
    ...deliveryConditions(query),
  ],
  view: listedDeliveries,
})

/** Hosts by their placements, whose index is by cluster and name. */
const placedListing: Listing<NameSort, ListedHost> = {
  ...hostListing,
  from: sql`placement placed join host on host."id" = placed."hostId"`,
  orders: {
    ...hostListing.orders,
    name: [
      { member: 'name', kind: 'text', indexed: sql`placed."name"` },
      { member: 'id', kind: 'uuid', indexed: sql`placed."hostId"` },
    ],
  },
}

/** The hosts on each cluster that the actor may see, each once, by however many ingresses it comes in. */
export const hostsOfClusters = below({
  listing: placedListing,
  parents: (_, names) => named(sql`cluster parent`, names),
  conditions: ({ actor }, query: HostQuery) => [
    sql`placed."clusterId" = parent."id"`,
    sql`not exists (select from placement other where other."clusterId" = placed."clusterId"
      and other."name" = placed."name" and other."hostId" = placed."hostId"
      and other."ingress" < placed."ingress")`,
    ...rowsOwnedBy(actor, sql`placed."tenantId"`),
    ...(query.cluster === undefined ? standingHere(query) : hostConditions(null, query)),
  ],
  view: joinedHosts,
})

/** What is asked for of the hosts of a cluster: how they stand is how they stand there. */
function standingHere({ status, ...query }: HostQuery): readonly Sql[] {
  return [
    ...hostConditions(null, query),
    ...when(
      status,
      (one) => sql`exists (select from placement where placement."hostId" = placed."hostId"
        and placement."clusterId" = placed."clusterId" and placement."status" = ${one})`,
    ),
  ]
}

/** The certificates of each authority that the actor may see. */
export const certificatesOfAuthorities = below({
  listing: certificateListing,
  parents: (_, names) => {
    const parents = named(sql`authority parent`, names)
    return { ...parents, conditions: [...parents.conditions, sql`parent."removedAt" is null`] }
  },
  conditions: ({ ctx, actor }, query: CertificateFilter) => [
    sql`certificate."authorityId" = parent."id"`,
    ...conditionsOf(ctx.now(), actor.tenantId, query),
  ],
  view: joinedCertificates,
})

type Below<T, Sort extends string, Row, Query> = {
  readonly listing: Listing<Sort, Row>
  readonly parents: (actor: Actor, names: readonly string[]) => Parents
  readonly conditions: (asked: Asked<Query>, query: Query) => readonly Sql[]
  readonly view: (ctx: Context, rows: readonly Row[], actor: Actor) => Promise<readonly T[]>
}

/** One read of rows for any number of parents, and one to count. */
function below<T, Sort extends string, Row, Query extends Cursored<ListQuery<Sort>>>({
  listing,
  parents,
  conditions,
  view,
}: Below<T, Sort, Row, Query>): Pages<T, Query> {
  const askedOf = (asked: Asked<Query>) => {
    allow(asked.actor, 'read')
    return {
      parents: parents(asked.actor, asked.parents),
      conditions: conditions(asked, asked.query),
      query: asked.query,
    }
  }
  return {
    page: async (asked) => {
      const { ctx, actor } = asked
      const pages = [...(await listRowsBelow(ctx.db, listing, askedOf(asked)))]
      const rows = pages.flatMap(([, { items }]) => items)
      const views = await view(ctx, rows, actor)
      const shown = new Map(rows.map((row, at) => [row, must(views[at], 'each row is shown')]))
      const shownOf = (row: Row) => must(shown.get(row), 'a row of a page is shown')
      return new Map(
        pages.map(([parent, page]) => [parent, { ...page, items: page.items.map(shownOf) }]),
      )
    },
    total: (asked) => countRowsBelow(asked.ctx.db, listing, askedOf(asked)),
  }
}

function tenants(actor: Actor, names: readonly string[]): Parents {
  const { conditions, ...parents } = named(sql`tenant parent`, names)
  return { ...parents, conditions: [...conditions, ...rowsOwnedBy(actor, sql`parent."id"`)] }
}

function named(from: Sql, names: readonly string[]): Parents {
  return {
    from,
    key: sql`parent."name"`,
    conditions: [sql`parent."name" = any(${[...names]}::text[])`],
  }
}
