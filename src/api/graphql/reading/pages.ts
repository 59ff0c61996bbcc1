import { certificatesByIds } from '../../../certificates/find.ts'
import type { CertificateFilter } from '../../../certificates/search/filter.ts'
import { certificateListing, conditionsOf } from '../../../certificates/search/select.ts'
import {
  type ClusterQuery,
  clusterConditions,
  clusterListing,
  clustersByIds,
} from '../../../clusters/find.ts'
import type { Actor } from '../../../core/actor.ts'
import type { Context } from '../../../core/context.ts'
import { type Sql, sql } from '../../../core/database/db.ts'
import {
  countRowsBelow,
  type Listing,
  listRowsBelow,
  type Parents,
} from '../../../core/database/lists.ts'
import {
  type DeliveryQuery,
  deliveriesByIds,
  deliveryConditions,
  deliveryListing,
} from '../../../delivery/secrets/find.ts'
import { hostsByIds } from '../../../hosts/find.ts'
import { type HostQuery, hostConditions, hostListing } from '../../../hosts/request/query.ts'
import type { Cursored, List, ListQuery, NameSort, Total } from '../../../shared/lists/query.ts'

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
  read: hostsByIds,
})

/** The certificates of each tenant. */
export const certificatesOfTenants = below({
  listing: certificateListing,
  parents: tenants,
  conditions: ({ ctx }, query: CertificateFilter) => [
    sql`certificate."tenantId" = parent."id"`,
    ...conditionsOf(ctx.now(), null, query),
  ],
  read: certificatesByIds,
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
  read: clustersByIds,
})

/** The deliveries of each tenant. */
export const deliveriesOfTenants = below({
  listing: deliveryListing,
  parents: tenants,
  conditions: (_, query: DeliveryQuery) => [
    sql`delivery."tenantId" = parent."id"`,
    ...deliveryConditions(query),
  ],
  read: deliveriesByIds,
})

/** Hosts by their placements, whose index is by cluster and name. */
const placedListing: Listing<NameSort> = {
  from: sql`placement placed join host on host."id" = placed."hostId"`,
  id: sql`host."id"`,
  usual: 'name',
  orders: {
    name: [
      { column: sql`placed."name"`, kind: 'text' },
      { column: sql`placed."hostId"`, kind: 'uuid' },
    ],
    createdAt: [{ column: sql`host."id"`, kind: 'uuid' }],
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
    ...own(sql`placed."tenantId"`, actor),
    ...hostConditions(null, query),
  ],
  read: hostsByIds,
})

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
  read: certificatesByIds,
})

type Below<T, Sort extends string, Query> = {
  readonly listing: Listing<Sort>
  readonly parents: (actor: Actor, names: readonly string[]) => Parents
  readonly conditions: (asked: Asked<Query>, query: Query) => readonly Sql[]
  readonly read: (ctx: Context, actor: Actor, ids: readonly string[]) => Promise<readonly T[]>
}

/** Two reads for any number of parents: which rows are on their pages, then those rows; and one to count. */
function below<
  T extends { readonly id: string },
  Sort extends string,
  Query extends Cursored<ListQuery<Sort>>,
>({ listing, parents, conditions, read }: Below<T, Sort, Query>): Pages<T, Query> {
  const askedOf = (asked: Asked<Query>) => ({
    parents: parents(asked.actor, asked.parents),
    conditions: conditions(asked, asked.query),
    query: asked.query,
  })
  return {
    page: (asked) =>
      listRowsBelow(asked.ctx.db.read, listing, askedOf(asked), (ids) =>
        read(asked.ctx, asked.actor, ids),
      ),
    total: (asked) => countRowsBelow(asked.ctx.db.read, listing, askedOf(asked)),
  }
}

function tenants(actor: Actor, names: readonly string[]): Parents {
  const { conditions, ...parents } = named(sql`tenant parent`, names)
  return { ...parents, conditions: [...conditions, ...own(sql`parent."id"`, actor)] }
}

function named(from: Sql, names: readonly string[]): Parents {
  return {
    from,
    key: sql`parent."name"`,
    conditions: [sql`parent."name" = any(${[...names]}::text[])`],
  }
}

function own(column: Sql, { tenantId }: Actor): readonly Sql[] {
  return tenantId === null ? [] : [sql`${column} = ${tenantId}::uuid`]
}
