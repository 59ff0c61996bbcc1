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
  type List,
  type ListQuery,
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
export type Asked<Sort extends string> = {
  readonly conditions: readonly Sql[]
  readonly query: ListQuery<Sort>
}

/** A page of a table. It costs the same wherever it is: the place that the cursor names is sought in the index
 *  of its order, not counted to. `read` gives the rows of some ids, in any order. Throws cursor-refused,
 *  also for the cursor of another order. */
export async function listRows<Sort extends string, Found extends { readonly id: string }>(
  tx: Tx,
  listing: Listing<Sort>,
  { conditions, query }: Asked<Sort>,
  read: (ids: readonly string[]) => Promise<readonly Found[]>,
): Promise<List<Found>> {
  const { limit = 50, sort = listing.usual, cursor, count = false } = query
  const order = orderOf(listing, sort)
  const after = cursor === undefined ? [] : [placeOf(sort, order, cursor)]
  const columns = order.columns.map(
    ({ column }) => sql`${column} ${order.down ? sql`desc` : emptySql}`,
  )
  const keys = order.columns.map(({ column, kind }) => kinds[kind].key(column))
  const rows = await tx.$queryRaw<readonly Row[]>(sql`
    select ${listing.id}::text as id, array[${joinSql(keys)}]::text[] as key
    from ${listing.from} ${whereAll([...conditions, ...after])}
    order by ${joinSql(columns)} limit ${limit + 1}::int`)
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  const found = new Map((await read(shown.map(({ id }) => id))).map((row) => [row.id, row]))
  return {
    items: shown.flatMap(({ id }) => found.get(id) ?? []),
    nextCursor: rows.length > limit && last ? cursorOf([sort, ...last.key]) : null,
    ...(count ? { total: await totalOf(tx, listing, conditions) } : {}),
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
  const [row] = await tx.$queryRaw<readonly { readonly count: number }[]>(sql`
    select count(*)::int as count from (
      select from ${from} ${whereAll(conditions)} limit ${mostCounted + 1}::int
    ) as found`)
  const found = row?.count ?? 0
  return { value: Math.min(found, mostCounted), exact: found <= mostCounted }
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

/** A condition where something is asked for, and none where it is not. */
export function when<T>(asked: T | undefined, condition: (asked: T) => Sql): readonly Sql[] {
  return asked === undefined ? [] : [condition(asked)]
}
