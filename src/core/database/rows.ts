import type { Actor } from '../actor.ts'
import {
  columnNames,
  type Database,
  joinSql,
  type Model,
  quoted,
  type Scalars,
  type Sql,
  sql,
  tableOf,
} from './db.ts'

/** What rows are read from. */
export type Readable = Pick<Database, 'rows'>

/** What is read of each row of a table, in one statement: columns, and what stands in other tables beside them. `row`
 *  is never there: it says what a row is. */
export type Rows<Row> = { readonly table: Sql; readonly columns: Sql; readonly row?: Row }

export type Row<Some> = Some extends Rows<infer One> ? One : never

/** One value of a row out of other tables, as JSON or as a column has it; `value` is never there, as `row`. */
type Beside<Value> = { readonly from: Sql; readonly value?: Value }

type Values<All> = {
  readonly [Name in keyof All]: All[Name] extends Beside<infer Value> ? Value : never
}

/** The columns of a model as schema.prisma has them, but for those that nobody looks at, and values beside them: rows as
 *  Prisma reads them. */
export function rowsOf<
  Of extends Model,
  All extends Readonly<Record<string, Beside<unknown>>> = Readonly<Record<never, never>>,
  Without extends keyof Scalars<Of> & string = never,
>(
  model: Of,
  beside: All,
  without: readonly Without[] = [],
): Rows<Omit<Scalars<Of>, Without> & Values<All>> {
  const table = tableOf(model)
  const left = new Set<string>(without)
  return {
    table,
    columns: joinSql([
      ...columnNames(model)
        .filter((name) => !left.has(name))
        .map((name) => sql`${table}.${quoted(name)}`),
      ...Object.entries(beside).map(([name, { from }]) => sql`(${from}) as ${quoted(name)}`),
    ]),
  }
}

/** A value that a statement reads for each row. */
export function value<Value>(from: Sql): Beside<Value> {
  return { from }
}

/** The name of the thing that `id` refers to, as `{ name }`. */
export function named(table: Sql, id: Sql): Beside<{ readonly name: string }> {
  return value(
    sql`select json_build_object('name', "name") from ${table} where ${table}."id" = ${id}`,
  )
}

/** The same of an `id` that may be null, as the name then is. */
export const namedIfAny: (table: Sql, id: Sql) => Beside<{ readonly name: string } | null> = named

/** The rows that all these conditions hold for, at least one, in no order. */
export function readRows<Row>(
  db: Readable,
  { table, columns }: Rows<Row>,
  conditions: readonly [Sql, ...Sql[]],
): Promise<readonly Row[]> {
  const where = joinSql([...conditions], ' and ')
  return db.rows<Row>(sql`select ${columns} from ${table} where ${where}`)
}

/** What holds for the rows that an actor may see, by the column of their tenant: its own, or all. */
export function rowsOwnedBy({ tenantId }: Actor, column: Sql): readonly Sql[] {
  return tenantId === null ? [] : [sql`${column} = ${tenantId}::uuid`]
}
