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
import { emptySql, joinSql, quoted, type Sql, sql } from './db.ts'
import type { Readable, Rows } from './rows.ts'

/** A column by which a list is ordered: the member of a row that has it, and where else an index has the same. */
type SortColumn<Row> = {
  readonly member: keyof Row & string
  readonly kind: keyof typeof kinds
  readonly indexed?: Sql
}

/** How a column is written in a cursor, and compared with it. */
const kinds = {
  text: { schema: NameText, value: (text: string) => sql`${text}` },
  uuid: { schema: IdText, value: (text: string) => sql`${text}::uuid` },
  bigint: { schema: SequenceText, value: (text: string) => sql`${text}::bigint` },
  timestamptz: { schema: MomentText, value: (text: string) => sql`${text}::timestamptz` },
} as const

type Upwards<Sort extends string> = Sort extends `-${string}` ? never : Sort

/** The rows of a table as they are listed: by which columns, the last of which tells all rows apart. Each order needs
 *  an index, or a page in it costs a reading of the table. */
export type Listing<Sort extends string, Row> = {
  readonly rows: Rows<Row>
  /** Where the table is found together with others; else it stands for itself. */
  readonly from?: Sql
  readonly usual: NoInfer<Sort>
  readonly orders: Readonly<Record<Upwards<Sort>, readonly SortColumn<Row>[]>>
}

/** What is asked of a table: the rows that all `conditions` hold for, in an order, after the place that the
 *  cursor names. */
export type TableRequest<Sort extends string> = {
  readonly conditions: readonly Sql[]
  readonly query: Cursored<ListQuery<Sort>>
}

/** A page of a table, in one statement. It costs the same wherever it is: the place that the cursor names is sought
 *  in the index of its order, not counted to. Throws cursor-refused, also for the cursor of another order. */
export async function listRows<Sort extends string, Row>(
  db: Readable,
  listing: Listing<Sort, Row>,
  { conditions, query }: TableRequest<Sort>,
): Promise<List<Row>> {
  const { limit = 50, sort = listing.usual, cursor, count = false } = query
  const { table, columns } = listing.rows
  const { after, by, shownBy } = placesOf(listing, sort, cursor)
  // What stands in other tables is looked up for the rows of the page alone.
  const rows = await db.rows<Row>(sql`
    select ${columns} from (
      select ${table}.* from ${fromOf(listing)} ${whereAll([...conditions, ...after])}
      order by ${by} limit ${limit + 1}::int
    ) as ${table} order by ${shownBy}`)
  return {
    ...pageOfRows(rows, listing, { ...query, limit, sort }),
    ...(count ? { total: await totalOf(db, listing, conditions) } : {}),
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
export async function listRowsBelow<Sort extends string, Row>(
  db: Readable,
  listing: Listing<Sort, Row>,
  { parents, conditions, query }: Below<Sort>,
): Promise<ReadonlyMap<string, List<Row>>> {
  const { limit = 50, sort = listing.usual, cursor } = query
  const { table, columns } = listing.rows
  const { after, by } = placesOf(listing, sort, cursor)
  const rows = await db.rows<Row & { readonly parentKey: string }>(sql`
    select ${parents.key} as "parentKey", ${columns}
    from ${parents.from} cross join lateral (
      select ${table}.*, row_number() over (order by ${by}) as place
      from ${fromOf(listing)} ${whereAll([...conditions, ...after])}
      order by ${by} limit ${limit + 1}::int
    ) ${table} ${whereAll(parents.conditions)} order by ${table}.place`)
  const groups = Map.groupBy(rows, ({ parentKey }) => parentKey)
  return new Map(
    [...groups].map(([key, some]) => [key, pageOfRows(some, listing, { ...query, limit, sort })]),
  )
}

/** How many there are below each of many parents, by their keys. */
export async function countRowsBelow<Sort extends string, Row>(
  db: Readable,
  listing: Listing<Sort, Row>,
  { parents, conditions }: Omit<Below<Sort>, 'query'>,
): Promise<ReadonlyMap<string, Total>> {
  const rows = await db.rows<Count & { readonly parent: string }>(sql`
    select ${parents.key} as parent, one."count" from ${parents.from} cross join lateral (
      ${countUpTo(fromOf(listing), conditions)}
    ) one ${whereAll(parents.conditions)}`)
  return new Map(rows.map((row) => [row.parent, totalIn(row)]))
}

/** The page that up to `limit + 1` rows are. */
function pageOfRows<Sort extends string, Row>(
  rows: readonly Row[],
  listing: Listing<Sort, Row>,
  { limit, sort, cursors = false }: { limit: number; sort: Sort; cursors?: boolean },
): List<Row> {
  const { columns } = orderOf(listing, sort)
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  const cursor = (row: Row) => cursorOf([sort, ...columns.map(({ member }) => text(row[member]))])
  return {
    items,
    nextCursor: rows.length > limit && last ? cursor(last) : null,
    ...(cursors ? { cursors: items.map(cursor) } : {}),
  }
}

function text(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value)
}

function fromOf<Sort extends string, Row>({ rows, from }: Listing<Sort, Row>): Sql {
  return from ?? rows.table
}

/** An order in SQL: the place after which a page begins, the columns in their directions, and these of the rows that
 *  have been found. */
function placesOf<Sort extends string, Row>(
  listing: Listing<Sort, Row>,
  sort: Sort,
  cursor: string | undefined,
) {
  const { down, columns } = orderOf(listing, sort)
  const own = (member: string) => sql`${listing.rows.table}.${quoted(member)}`
  const names = columns.map(({ member, indexed }) => indexed ?? own(member))
  const directed = (name: Sql) => sql`${name} ${down ? sql`desc` : emptySql}`
  return {
    after:
      cursor === undefined
        ? []
        : [
            sql`(${joinSql(names)}) ${down ? sql`<` : sql`>`} (${joinSql(placeOf(sort, columns, cursor))})`,
          ],
    by: joinSql(names.map(directed)),
    shownBy: joinSql(columns.map(({ member }) => directed(own(member)))),
  }
}

type Order<Row> = { readonly down: boolean; readonly columns: readonly SortColumn<Row>[] }

function orderOf<Sort extends string, Row>({ orders }: Listing<Sort, Row>, sort: Sort): Order<Row> {
  const all = new Map<string, readonly SortColumn<Row>[]>(Object.entries(orders))
  const columns = all.get(sort.replace(/^-/, ''))
  if (!columns) throw new Error(`nothing is listed by ${sort}`)
  return { down: sort.startsWith('-'), columns }
}

/** The values of the row that the cursor names. */
function placeOf<Row>(
  sort: string,
  columns: readonly SortColumn<Row>[],
  cursor: string,
): readonly Sql[] {
  const schemas = columns.map(({ kind }) => kinds[kind].schema)
  const [, ...values] = readCursor(cursor, Type.Tuple([Type.Literal(sort), ...schemas]))
  return columns.map(({ kind }, at) => kinds[kind].value(String(values[at])))
}

async function totalOf<Sort extends string, Row>(
  db: Readable,
  listing: Listing<Sort, Row>,
  conditions: readonly Sql[],
): Promise<Total> {
  const [row] = await db.rows<Count>(countUpTo(fromOf(listing), conditions))
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
export function byName<Row extends { readonly id: string; readonly name: string }>(
  rows: Rows<Row>,
): Listing<NameSort, Row> {
  return {
    rows,
    usual: 'name',
    orders: {
      name: [{ member: 'name', kind: 'text' }],
      createdAt: [{ member: 'id', kind: 'uuid' }],
    },
  }
}

/** How things without names are listed: by the column that says when each was made. */
export function byMade<Row extends { readonly id: string }>(
  rows: Rows<Row>,
  made: NoInfer<keyof Row & string>,
): Listing<MadeSort, Row> {
  return {
    rows,
    usual: 'createdAt',
    orders: {
      createdAt: [
        { member: made, kind: 'timestamptz' },
        { member: 'id', kind: 'uuid' },
      ],
    },
  }
}

/** A condition where something is asked for, and none where it is not. */
export function when<T>(asked: T | undefined, condition: (asked: T) => Sql): readonly Sql[] {
  return asked === undefined ? [] : [condition(asked)]
}
