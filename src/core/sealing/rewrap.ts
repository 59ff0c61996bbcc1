import type { Context } from '../context.ts'
import { joinSql, rawSql, type Sql, sql } from '../database/db.ts'
import { keyIdOf } from './seal.ts'

type Column = { readonly name: string; readonly type: 'uuid' | 'text' }
type SealedTable = { readonly name: string; readonly key: readonly Column[] }

const uuid = (name: string): Column => ({ name, type: 'uuid' })

/** Every table with a column `sealed`, and its primary key: a value is bound to the row's name,
 *  `<table>/<key>`. A test holds this list against schema.prisma. */
export const sealedTables: readonly SealedTable[] = [
  { name: 'authority_secret', key: [uuid('keyId')] },
  { name: 'responder_secret', key: [uuid('responderId')] },
  { name: 'certificate_secret', key: [uuid('certificateId')] },
  { name: 'cluster_credential', key: [uuid('clusterId')] },
  { name: 'receiver_secret', key: [uuid('receiverId')] },
  { name: 'acme_key_secret', key: [uuid('keyId')] },
  { name: 'ca_account_secret', key: [uuid('authorityId')] },
  { name: 'ca_order_secret', key: [uuid('orderId')] },
  { name: 'audit_log_key', key: [uuid('id')] },
  { name: 'idempotency_key', key: [uuid('scope'), { name: 'key', type: 'text' }] },
]

/** How many rows were rewrapped in a table, and those that could not be opened, with the reason. */
export type Rewrapped = {
  readonly table: string
  readonly rows: number
  readonly failures: readonly string[]
}

type Row = { readonly key: readonly string[]; readonly sealed: Uint8Array }

const batch = 500

/** Wraps the data key of every row of a table by the current key encryption key; the secrets' own
 *  ciphertext stays. May run beside replicas and other runs, and be cut short and begun again: a row
 *  is only written over the very bytes that were read, and one that is current is passed over.
 *  `progress` is told after each batch. */
export async function rewrap(
  ctx: Context,
  table: SealedTable,
  progress: (rows: number) => void,
): Promise<Rewrapped> {
  const failures: string[] = []
  let rows = 0
  let after: readonly string[] | undefined
  for (;;) {
    const found = await outdated(ctx, table, after)
    const last = found.at(-1)
    if (!last) return { table: table.name, rows, failures }
    const fresh = found.flatMap((row) => rewrapped(ctx, table, { row, failures }))
    rows += await replace(ctx, table, fresh)
    after = last.key
    progress(rows)
  }
}

type Fresh = Row & { readonly again: Buffer }

function rewrapped(
  ctx: Context,
  { name }: SealedTable,
  { row, failures }: { row: Row; failures: string[] },
): readonly Fresh[] {
  const binding = [name, ...row.key].join('/')
  const sealed = Buffer.from(row.sealed)
  try {
    return [{ ...row, again: ctx.seal.rewrap(binding, sealed) }]
  } catch {
    failures.push(
      `${binding} (under the key ${keyIdOf(sealed)}) does not open: that key is not among those given, or the row was changed`,
    )
    return []
  }
}

/** The next rows that are sealed under another key than the current one, in the order of the key. */
function outdated(
  ctx: Context,
  { name, key }: SealedTable,
  after: readonly string[] | undefined,
): Promise<readonly Row[]> {
  const columns = key.map(quoted)
  const texts = key.map((column) => sql`${quoted(column)}::text`)
  const mark = new Uint8Array(ctx.seal.mark)
  const beyond = after
    ? sql`and (${joinSql(columns)}) > (${joinSql(after.map((value, i) => typed(value, key[i])))})`
    : sql``
  return ctx.db.read.$queryRaw<readonly Row[]>(sql`
    select array[${joinSql(texts)}] as "key", "sealed" from ${rawSql(name)}
    where length("sealed") > 0 and substring("sealed" for ${mark.length}) <> ${mark} ${beyond}
    order by ${joinSql(columns)} limit ${batch}`)
}

function quoted({ name }: Column): Sql {
  return rawSql(`"${name}"`)
}

function typed(value: string, column: Column | undefined): Sql {
  return sql`${value}::${rawSql(column?.type ?? 'text')}`
}

/** Compare and set: what changed since it was read is left alone. */
async function replace(
  ctx: Context,
  { name, key }: SealedTable,
  rows: readonly Fresh[],
): Promise<number> {
  if (rows.length === 0) return 0
  const items = rows.map((row) => ({
    ...Object.fromEntries(key.map((column, i) => [column.name, row.key[i]])),
    old: Buffer.from(row.sealed).toString('base64'),
    again: row.again.toString('base64'),
  }))
  const types = key.map((column) => sql`${quoted(column)} ${rawSql(column.type)}`)
  const table = rawSql(name)
  const same = key.map((column) => sql`${table}.${quoted(column)} = item.${quoted(column)}`)
  return ctx.db.read.$executeRaw(sql`
    update ${table} set "sealed" = decode(item."again", 'base64')
    from jsonb_to_recordset(${JSON.stringify(items)}::jsonb)
      as item (${joinSql(types)}, "old" text, "again" text)
    where ${joinSql(same, ' and ')} and ${table}."sealed" = decode(item."old", 'base64')`)
}

/** The tables of which the first or the last row is sealed under a key that this process was not given: the whole
 *  of a big one is not read. */
export async function unopenable(ctx: Context): Promise<readonly string[]> {
  const ends = sealedTables.flatMap(({ name, key }) => {
    return ['asc', 'desc'].map((order) => {
      const ordered = joinSql(key.map((column) => rawSql(`"${column.name}" ${order}`)))
      return sql`(select ${name} as name, substring(sealed for 9) as sealed
        from ${rawSql(`"${name}"`)} order by ${ordered} limit 1)`
    })
  })
  const rows = await ctx.db.read.$queryRaw<readonly { name: string; sealed: Uint8Array }[]>(
    sql`select name, sealed from (${joinSql(ends, ' union all ')}) as ends`,
  )
  const unknown = rows.filter(({ sealed }) => !ctx.seal.knows(Buffer.from(sealed)))
  return [...new Set(unknown.map(({ name }) => name))]
}
