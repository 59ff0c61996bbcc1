import { randomBytes, randomUUID } from 'node:crypto'
import { must } from '../shared/must.ts'
import type { Config } from './config.ts'
import { type Database, openDatabase, type Tx } from './database/db.ts'
import { type Seal, sealWith } from './sealing/seal.ts'

/** One line of the log: facts, then a sentence. Secrets never go here. */
export type Log = {
  readonly info: (facts: object, sentence: string) => void
  readonly warn: (facts: object, sentence: string) => void
  readonly error: (facts: object, sentence: string) => void
}

/** All that an action needs from outside, built once and passed as the first argument. */
export type Context = {
  readonly config: Config
  readonly db: Database
  readonly seal: Seal
  readonly log: Log
  readonly now: () => Date
  /** From a CSPRNG. */
  readonly random: (octets: number) => Buffer
  /** Of a rehearsal: the context that it stands for. Nothing is stored, and no key of an authority is used. */
  readonly rehearses?: Context
}

/** The context of one process; tests replace the clock or the log. */
export function openContext(
  config: Config,
  log: Log,
  overrides: Partial<Pick<Context, 'now' | 'random'>> = {},
): Context {
  return {
    config,
    db: openDatabase(config.databaseUrl, config.databasePool),
    seal: sealWith(config.sealingKey, config.formerSealingKeys),
    log,
    now: () => new Date(),
    random: (octets) => randomBytes(octets),
    ...overrides,
  }
}

/** The context inside a transaction: what is read is what the transaction sees, so that the answer of a
 *  write is made before anything of it is stored for good. */
export function inTransaction(ctx: Context, tx: Tx): Context {
  return {
    ...ctx,
    db: {
      ...ctx.db,
      read: tx,
      rows: (statement) => tx.$queryRaw(statement),
      transaction: (work) => work(tx),
    },
  }
}

/** What outlasts a request of either: turns that are waited for, and what is opened once for a process. */
export function lasting(ctx: Context): Context {
  return ctx.rehearses ?? ctx
}

/** The context of a rehearsal: each transaction, and each statement beside them, is done whole, answers, and is
 *  rolled back. For actions whose answer comes out of one transaction, or that ask whether it `rehearses`. */
export function rehearsing(ctx: Context): Context {
  const transaction = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => {
    let answer: { readonly value: T } | undefined
    try {
      await ctx.db.transaction(async (tx) => {
        answer = { value: await work(tx) }
        throw new Rehearsed()
      })
    } catch (error) {
      if (!(error instanceof Rehearsed)) throw error
    }
    return must(answer, 'a rehearsal has no answer').value
  }
  const statement: Database['statement'] = (text, values) =>
    transaction((tx) => tx.$queryRawUnsafe<readonly unknown[]>(text, ...values))
  return { ...ctx, db: { ...ctx.db, transaction, statement }, rehearses: ctx }
}

/** Has what was rehearsed rolled back. */
class Rehearsed extends Error {}

/** An id for a new row: a UUID of version 7 (RFC 9562 5.7), so that rows made together lie together in
 *  the indexes. */
export function newId(now: Date): string {
  const time = now.getTime().toString(16).padStart(12, '0')
  const rest = randomUUID()
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(15)}`
}
