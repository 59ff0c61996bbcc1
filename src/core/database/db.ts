import { PrismaPg } from '@prisma/adapter-pg'
import { Prisma, PrismaClient } from '../../generated/prisma/client.ts'
import { openPool, queryRows } from './postgres.ts'

/** Reads, or one transaction's reads and writes. */
export type Tx = Omit<Prisma.TransactionClient, '$transaction'>

/** The database. Writes go through `transaction`, so that a change, its audit event and the jobs that
 *  it makes due are stored together or not at all. */
export type Database = {
  readonly read: Tx
  /** The rows that one statement reads, as `read` has them, past Prisma: to go through a page of fifty rows member by
   *  member costs it more than all else that the page takes. */
  readonly rows: <Row>(statement: Sql) => Promise<readonly Row[]>
  readonly transaction: <T>(work: (tx: Tx) => Promise<T>) => Promise<T>
  /** One statement, stored or not as a whole, past Prisma: that would write its parameters as JSON and
   *  read them again, which costs more than the statement where hundreds of rows go through one. */
  readonly statement: (text: string, values: readonly unknown[]) => Promise<readonly unknown[]>
  /** How many connections there are, how many of them do nothing, and how many statements wait for one. */
  readonly connections: () => { total: number; idle: number; waiting: number }
  readonly close: () => Promise<void>
}

/** Opens a pool of `connections` to PostgreSQL. */
export function openDatabase(url: string, connections: number): Database {
  const pool = openPool(url, connections)
  // Without a listener a connection that is lost would end the process, as long as Prisma has not connected.
  pool.on('error', () => undefined)
  const adapter = new PrismaPg(pool, { disposeExternalPool: true })
  const client = new PrismaClient({ adapter })
  return {
    read: client,
    rows: ({ text, values }) => queryRows(pool, text, values),
    statement: async (text, values) => (await pool.query(text, [...values])).rows,
    transaction: (work) => client.$transaction(work, { maxWait: 10_000, timeout: 20_000 }),
    connections: () => ({
      total: pool.totalCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
    }),
    close: async () => {
      await client.$disconnect()
      // Which Prisma leaves open when it never connected.
      if (!pool.ending) await pool.end()
    },
  }
}

/** Raw SQL with bound parameters. */
export const sql = Prisma.sql
export const joinSql = Prisma.join
export const emptySql = Prisma.empty
/** SQL as it stands: for names out of our own lists, never for anything that came from outside. */
export const rawSql = Prisma.raw
export type Sql = Prisma.Sql

/** A model of schema.prisma, and a row of its table. */
export type Model = Prisma.ModelName
export type Scalars<Of extends Model> = Prisma.TypeMap['model'][Of]['payload']['scalars']

/** A name of our own as SQL: of a column, or of what is read. */
export function quoted(name: string): Sql {
  return rawSql(`"${name}"`)
}

/** The table of a model. */
export function tableOf(model: Model): Sql {
  return rawSql(model.replace(/(?<=[a-z])[A-Z]/g, '_$&').toLowerCase())
}

/** Its columns, as schema.prisma lists them. */
export function columnNames(model: Model): readonly string[] {
  return Object.keys(Prisma[`${model}ScalarFieldEnum`])
}

/** JSON as Prisma takes it: a plain value, copied, so that only JSON is stored. */
export function json(value: unknown): Prisma.InputJsonValue {
  return JSON.parse(JSON.stringify(value))
}

/** Octets as Prisma takes them. */
export function bytes(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(octets)
}

/** Whether `error` says that a row with these unique values exists (Prisma P2002). */
export function isDuplicate(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002'
}

/** Whether `error` says that other rows still refer to this one (Prisma P2003, P2014). */
export function isReferenced(error: unknown): boolean {
  return (
    error instanceof Prisma.PrismaClientKnownRequestError &&
    (error.code === 'P2003' || error.code === 'P2014')
  )
}
