import Type from 'typebox'
import {
  cursorOf,
  IdText,
  MomentText,
  NameText,
  readCursor,
  SequenceText,
} from '../../shared/cursor.ts'
import {
  type Cursored,
  type List,
  type ListQuery,
  type MadeSort,
  mostCounted,
  type NameSort,
  type Total,
} from '../../shared/lists/query.ts'
import { emptySql, joinSql, type Sql, sql, type Tx } from './db.ts'

/** A column by which a list is ordered. */
type SortColumn = { readonly column: Sql; readonly kind: keyof typeof kinds }

/** How columns are written in a cursor, and compared with it. */
const kinds = {
  text: { schema: NameText, key: (column: Sql) => column, value: (text: string) => sql`${text}` },
  uuid: {
    schema: IdText,
    key: (column: Sql) => sql`${column}::text`,
    value: (text: string) => sql`${text}::uuid`,
  },
  bigint: {
    schema: SequenceText,
    key: (column: Sql) => sql`${column}::text`,
    value: (text: string) => sql`${text}::bigint`,
  },
  timestamptz: {
    schema: MomentText,
    key: (column: Sql) =>
      sql`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
    value: (text: string) => sql`${text}::timestamptz`,
  },
} as const

type Upwards<Sort extends string> = Sort extends `-${string}` ? never : Sort

/** A table as it is listed: by which columns, the last of which tells all rows apart. Each order needs an index,
 *  or a page in it costs a reading of the table. */
export type Listing<Sort extends string> = {
  readonly from: Sql
  readonly id: Sql
  readonly usual: NoInfer<Sort>
  readonly orders: Readonly<Record<Upwards<Sort>, readonly SortColumn[]>>
}

type Row = { readonly id: string; readonly key: readonly string[] }

/** What is asked of a table: the rows that all `conditions` hold for, in an order, after the place that the
 *  cursor names. */
export type TableRequest<Sort extends string> = {
  readonly conditions: readonly Sql[]
  readonly query: Cursored<ListQuery<Sort>>
}

type Reading<Found> = (ids: readonly string[]) => Promise<readonly Found[]>

/** A page of a table. It costs the same wherever it is: the place that the cursor names is sought in the index
 *  of its order, not counted to. `read` gives the rows of some ids, in any order. Throws cursor-refused,
 *  also for the cursor of another order. */
export async function listRows<Sort extends string, Found extends { readonly id: string }>(
  tx: Tx,
  listing: Listing<Sort>,
  { conditions, query }: TableRequest<Sort>,
  read: Reading<Found>,
): Promise<List<Found>> {
  const { limit = 50, sort = listing.usual, cursor, count = false } = query
  const { after, columns, keys } = placesOf(listing, sort, cursor)
  const rows = await tx.$queryRaw<readonly Row[]>(sql`
    select ${listing.id}::text as id, array[${joinSql(keys)}]::text[] as key
    from ${listing.from} ${whereAll([...conditions, ...after])}
    order by ${joinSql(columns)} limit ${limit + 1}::int`)
  const found = await byId(read, rows.slice(0, limit))
  return {
    ...pageOfRows(rows, { ...query, limit, sort }, found),
    ...(count ? { total: await totalOf(tx, listing, conditions) } : {}),
  }
}

/** The things that lists are asked for below, each by a `key`; `from` names them `parent`. */
export type Parents = {
  readonly key: Sql
  readonly from: Sql
  readonly conditions: readonly Sql[]
}

type Below<Sort extends string> = TableRequest<Sort> & { readonly parents: Parents }

/** The same page below each of many parents, by their keys, in as many statements as for one; `conditions` may
 *  name the `parent`. Throws cursor-refused. */
export async function listRowsBelow<Sort extends string, Found extends { readonly id: string }>(
  tx: Tx,
  listing: Listing<Sort>,
  { parents, conditions, query }: Below<Sort>,
  read: Reading<Found>,
): Promise<ReadonlyMap<string, List<Found>>> {
  const { limit = 50, sort = listing.usual, cursor } = query
  const { after, columns, keys } = placesOf(listing, sort, cursor)
  const rows = await tx.$queryRaw<readonly (Row & { readonly parent: string })[]>(sql`
    select ${parents.key} as parent, one."id", one."key"
    from ${parents.from} cross join lateral (
      select ${listing.id}::text as id, array[${joinSql(keys)}]::text[] as key,
        row_number() over (order by ${joinSql(columns)}) as place
      from ${listing.from} ${whereAll([...conditions, ...after])}
      order by ${joinSql(columns)} limit ${limit + 1}::int
    ) one ${whereAll(parents.conditions)} order by one.place`)
  const groups = Map.groupBy(rows, ({ parent }) => parent)
  const shown = [...groups.values()].flatMap((some) => some.slice(0, limit))
  const found = await byId(read, shown)
  return new Map(
    [...groups].map(([key, some]) => [key, pageOfRows(some, { ...query, limit, sort }, found)]),
  )
}

/** How many there are below each of many parents, by their keys. */
export async function countRowsBelow<Sort extends string>(
  tx: Tx,
  { from }: Listing<Sort>,
  { parents, conditions }: Omit<Below<Sort>, 'query'>,
): Promise<ReadonlyMap<string, Total>> {
  const rows = await tx.$queryRaw<readonly (Count & { readonly parent: string })[]>(sql`
    select ${parents.key} as parent, one."count" from ${parents.from} cross join lateral (
      ${countUpTo(from, conditions)}
    ) one ${whereAll(parents.conditions)}`)
  return new Map(rows.map((row) => [row.parent, totalIn(row)]))
}

/** Reads the rows of a page, each once. */
async function byId<Found extends { readonly id: string }>(
  read: Reading<Found>,
  rows: readonly Row[],
): Promise<ReadonlyMap<string, Found>> {
  const found = await read([...new Set(rows.map(({ id }) => id))])
  return new Map(found.map((row) => [row.id, row]))
}

/** The page that up to `limit + 1` rows are; what was removed meanwhile is not on it. */
function pageOfRows<Found>(
  rows: readonly Row[],
  { limit, sort, cursors = false }: { limit: number; sort: string; cursors?: boolean },
  found: ReadonlyMap<string, Found>,
): List<Found> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const there = shown.filter(({ id }) => found.has(id))
  return {
    items: there.flatMap(({ id }) => found.get(id) ?? []),
    nextCursor: rows.length > limit && last ? cursorOf([sort, ...last.key]) : null,
    ...(cursors ? { cursors: there.map(({ key }) => cursorOf([sort, ...key])) } : {}),
  }
}

/** An order in SQL: the place after which a page begins, the columns in their directions, and the keys that a
 *  cursor is made of. */
function placesOf<Sort extends string>(
  listing: Listing<Sort>,
  sort: Sort,
  cursor: string | undefined,
) {
  const order = orderOf(listing, sort)
  return {
    after: cursor === undefined ? [] : [placeOf(sort, order, cursor)],
    columns: order.columns.map(({ column }) => sql`${column} ${order.down ? sql`desc` : emptySql}`),
    keys: order.columns.map(({ column, kind }) => kinds[kind].key(column)),
  }
}

type Order = { readonly down: boolean; readonly columns: readonly SortColumn[] }

function orderOf<Sort extends string>({ orders }: Listing<Sort>, sort: Sort): Order {
  const all = new Map<string, readonly SortColumn[]>(Object.entries(orders))
  const columns = all.get(sort.replace(/^-/, ''))
  if (!columns) throw new Error(`nothing is listed by ${sort}`)
  return { down: sort.startsWith('-'), columns }
}

/** What holds for all rows after the one that the cursor names. */
function placeOf(sort: string, { down, columns }: Order, cursor: string): Sql {
  const schemas = columns.map(({ kind }) => kinds[kind].schema)
  const [, ...values] = readCursor(cursor, Type.Tuple([Type.Literal(sort), ...schemas]))
  const places = columns.map(({ kind }, at) => kinds[kind].value(String(values[at])))
  const names = joinSql(columns.map(({ column }) => column))
  return sql`(${names}) ${down ? sql`<` : sql`>`} (${joinSql(places)})`
}

async function totalOf<Sort extends string>(
  tx: Tx,
  { from }: Listing<Sort>,
  conditions: readonly Sql[],
): Promise<Total> {
  const [row] = await tx.$queryRaw<readonly Count[]>(countUpTo(from, conditions))
  return totalIn(row ?? { count: 0 })
}

type Count = { readonly count: number }

function countUpTo(from: Sql, conditions: readonly Sql[]): Sql {
  return sql`select count(*)::int as count from (
      select from ${from} ${whereAll(conditions)} limit ${mostCounted + 1}::int
    ) as found`
}

function totalIn({ count }: Count): Total {
  return { value: Math.min(count, mostCounted), exact: count <= mostCounted }
}

function whereAll(conditions: readonly Sql[]): Sql {
  return conditions.length === 0 ? emptySql : sql`where ${joinSql([...conditions], ' and ')}`
}

/** How things with names are listed, of which an id of a later one is greater. */
export function byName(table: Sql): Listing<NameSort> {
  return {
    from: table,
    id: sql`${table}."id"`,
    usual: 'name',
    orders: {
      name: [{ column: sql`${table}."name"`, kind: 'text' }],
      createdAt: [{ column: sql`${table}."id"`, kind: 'uuid' }],
    },
  }
}

/** How things without names are listed: by the column that says when each was made. */
export function byMade(table: Sql, made: Sql): Listing<MadeSort> {
  return {
    from: table,
    id: sql`${table}."id"`,
    usual: 'createdAt',
    orders: {
      createdAt: [
        { column: sql`${table}.${made}`, kind: 'timestamptz' },
        { column: sql`${table}."id"`, kind: 'uuid' },
      ],
    },
  }
}

/** A condition where something is asked for, and none where it is not. */
export function when<T>(asked: T | undefined, condition: (asked: T) => Sql): readonly Sql[] {
  return asked === undefined ? [] : [condition(asked)]
}
