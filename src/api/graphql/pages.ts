import Type from 'typebox'
import { certificatesByIds } from '../../certificates/find.ts'
import { clustersByIds } from '../../clusters/find.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { emptySql, type Sql, sql } from '../../core/database/db.ts'
import { hostsByIds } from '../../hosts/find.ts'
import { IdText, MomentText, NameText, pageOf, readCursor } from '../../shared/cursor.ts'
import type { Page, PageQuery } from '../../shared/schema.ts'

/** The sort keys of these pages: those of the lists, whose cursors they take and give. */
const NameKey = Type.Union([
  Type.Tuple([Type.Literal('name'), NameText]),
  Type.Tuple([Type.Literal('name'), NameText, IdText]),
])
const EndKey = Type.Tuple([Type.Literal('notAfter'), MomentText, IdText])

/** The same page of each of many parents, who are known by name. */
export type Pages<T> = (
  ctx: Context,
  actor: Actor,
  asked: PageQuery & { readonly parents: readonly string[] },
) => Promise<ReadonlyMap<string, Page<T>>>

type Place = { readonly parent: string; readonly id: string; readonly key: readonly string[] }

type Reader<T> = (
  ctx: Context,
  actor: Actor,
  ids: readonly string[],
) => Promise<readonly (T & { readonly id: string })[]>

type Slice = {
  readonly parents: readonly string[]
  readonly tenantId: string | null
  readonly cursor: string | undefined
  readonly limit: number
}

/** The hosts of each tenant, by name. */
export const hostsOfTenants = pagesOf(
  hostsByIds,
  ({ parents, tenantId, cursor, limit }) => sql`
    select tenant."name" as parent, one."id", array['name', one."name", one."id"::text] as key
    from tenant cross join lateral (
      select "id", "name" from host
      where "tenantId" = tenant."id" ${afterName(sql`"name"`, cursor)}
      order by "name" limit ${limit}
    ) one
    where tenant."name" = any(${parents}) ${only(sql`tenant."id"`, tenantId)}
    order by one."name"`,
)

/** The certificates of each tenant, soonest end first. */
export const certificatesOfTenants = pagesOf(
  certificatesByIds,
  ({ parents, tenantId, cursor, limit }) => sql`
    select tenant."name" as parent, one."id", array['notAfter',
      to_char(one."notAfter" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), one."id"::text
    ] as key
    from tenant cross join lateral (
      select "id", "notAfter" from certificate
      where "tenantId" = tenant."id" and "cause" <> 'probe' ${afterEnd(cursor)}
      order by "notAfter", "id" limit ${limit}
    ) one
    where tenant."name" = any(${parents}) ${only(sql`tenant."id"`, tenantId)}
    order by one."notAfter", one."id"`,
)

/** The clusters that each tenant has hosts on, by name. */
export const clustersOfTenants = pagesOf(
  clustersByIds,
  ({ parents, tenantId, cursor, limit }) => sql`
    select tenant."name" as parent, one."id", array['name', one."name"] as key
    from tenant cross join lateral (
      select "id", "name" from cluster
      where exists (
        select from placement
        where "clusterId" = cluster."id" and "tenantId" = tenant."id"
      ) ${afterName(sql`"name"`, cursor)}
      order by "name" limit ${limit}
    ) one
    where tenant."name" = any(${parents}) ${only(sql`tenant."id"`, tenantId)}
    order by one."name"`,
)

/** The hosts on each cluster that the actor may see, by name. */
export const hostsOfClusters = pagesOf(
  hostsByIds,
  ({ parents, tenantId, cursor, limit }) => sql`
    select cluster."name" as parent, one."hostId" as id,
      array['name', one."name", one."hostId"::text] as key
    from cluster cross join lateral (
      select distinct "hostId", "name" from placement
      where "clusterId" = cluster."id"
        ${only(sql`"tenantId"`, tenantId)} ${afterName(sql`"name"`, cursor)}
      order by "name", "hostId" limit ${limit}
    ) one
    where cluster."name" = any(${parents})
    order by one."name"`,
)

/** Two reads for any number of parents: which rows are on their pages, then those rows. */
function pagesOf<T>(read: Reader<T>, places: (slice: Slice) => Sql): Pages<T> {
  return async (ctx, actor, { parents, limit = 50, cursor }) => {
    const { tenantId } = actor
    const slice = { parents: [...parents], tenantId, cursor, limit: limit + 1 }
    const found = await ctx.db.read.$queryRaw<readonly Place[]>(places(slice))
    const items = await read(ctx, actor, [...new Set(found.map(({ id }) => id))])
    const byId = new Map(items.map((item) => [item.id, item]))
    const pages = [...Map.groupBy(found, ({ parent }) => parent)].map(([parent, rows]) => {
      const page = pageOf(rows, limit, { key: ({ key }) => key, item: ({ id }) => byId.get(id) })
      return [parent, { ...page, items: page.items.filter((item) => item !== undefined) }] as const
    })
    return new Map<string, Page<T>>(pages)
  }
}

function only(column: Sql, tenantId: string | null): Sql {
  return tenantId === null ? emptySql : sql`and ${column} = ${tenantId}::uuid`
}

function afterName(column: Sql, cursor: string | undefined): Sql {
  if (cursor === undefined) return emptySql
  const [, name] = readCursor(cursor, NameKey)
  return sql`and ${column} > ${name}`
}

function afterEnd(cursor: string | undefined): Sql {
  if (cursor === undefined) return emptySql
  const [, notAfter, id] = readCursor(cursor, EndKey)
  return sql`and ("notAfter", "id") > (${new Date(notAfter)}, ${id}::uuid)`
}
