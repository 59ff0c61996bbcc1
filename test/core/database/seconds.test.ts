import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DatabaseSession, openSession } from '../../../src/core/database/postgres.ts'
import { openTestDatabase } from '../../support/context.ts'

// No time that is stored lies later than the time that was written: what is due now is due now.

const session = await openSession(await openTestDatabase())
type Column = { readonly table: string; readonly column: string; readonly digits: number }

async function ask(query: string): Promise<readonly string[]> {
  const [row] = await session.query(`select coalesce(json_agg(found), '[]')::text as rows
    from (${query}) as found(found)`)
  const text = typeof row === 'object' && row !== null && 'rows' in row ? String(row.rows) : ''
  return JSON.parse(text)
}

async function timeColumns(): Promise<readonly Column[]> {
  const found = await ask(`
    select table_name || ' ' || column_name || ' ' || datetime_precision
    from information_schema.columns where table_schema = 'public'
    and table_name <> '_prisma_migrations' and data_type ~ '^time' order by 1`)
  return found.map((text) => {
    const [table = '', column = '', digits = ''] = text.split(' ')
    return { table, column, digits: Number(digits) }
  })
}

/** The table without anything that keeps a row of one column out, until the transaction ends. */
async function bare(table: string): Promise<void> {
  const statements = await ask(`
    select format('alter table %I drop constraint if exists %I cascade', '${table}', conname)
    from pg_constraint where conrelid = '${table}'::regclass and contype <> 'n'
    union all
    select format('alter table %I disable trigger %I', '${table}', tgname) from pg_trigger
    where tgrelid = '${table}'::regclass and not tgisinternal and tgtype & 2 = 0
    union all
    select format('alter table %I alter column %I drop not null', '${table}', column_name)
    from information_schema.columns where table_schema = 'public' and table_name = '${table}'`)
  const keysFirst = statements.toSorted(
    (a, b) => Number(b.includes(' drop constraint ')) - Number(a.includes(' drop constraint ')),
  )
  for (const statement of keysFirst) await session.query(statement)
}

async function stored(
  by: DatabaseSession,
  { table, column }: Column,
  time: string,
): Promise<readonly string[]> {
  const shown = `to_char("${column}" at time zone 'UTC', 'HH24:MI:SS.MS')`
  await by.query('begin')
  try {
    await bare(table)
    await by.query(`insert into "${table}" ("${column}") values ('2026-01-01T00:00:${time}Z')`)
    const inserted = await ask(`select ${shown} from "${table}"`)
    // What is never changed.
    if (['audit_event', 'audit_checkpoint'].includes(table)) return inserted
    await by.query(`update "${table}" set "${column}" = '2026-01-01T00:01:${time}Z'`)
    return [...inserted, ...(await ask(`select ${shown} from "${table}"`))]
  } finally {
    await by.query('rollback')
  }
}

test('a time is stored as it was written, or cut down to its second; never later', async () => {
  const columns = await timeColumns()
  assert.ok(columns.length > 30, `${columns.length} columns`)
  for (const column of columns) {
    const name = `${column.table}.${column.column}`
    assert.ok(column.digits >= 3, `${name} is narrower than the clock, so it rounds up`)
    const expected = column.digits === 3 ? '59.789' : '59.000'
    const found = await stored(session, column, '59.789')
    assert.deepEqual(found, [`00:00:${expected}`, `00:01:${expected}`].slice(0, found.length), name)
    if (column.digits === 3) continue
    assert.deepEqual(await stored(session, column, '59.999999'), ['00:00:59.000', '00:01:59.000'])
  }
  await session.close()
})
