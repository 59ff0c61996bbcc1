import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import pg from 'pg'
import { migrate } from '../../../src/core/database/migrate.ts'
import { schemaDiff } from '../../../src/core/database/schemaengine.ts'
import { openTestDatabase } from '../../support/context.ts'
import { startProcess } from '../../support/process.ts'

// The migrations that are committed lead to the schema that is committed.

const schema = await readFile(new URL('../../../prisma/schema.prisma', import.meta.url), 'utf8')

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function ask(url: string, text: string): Promise<readonly string[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query({ text, rowMode: 'array' })
    return rows.map((row) => row.map(String).join(' · '))
  })
}

/** What the catalogs say of our tables. */
const catalogs = {
  columns: `
    select table_name, column_name, format_type(atttypid, atttypmod), is_nullable,
      coalesce(column_default, '')
    from information_schema.columns join pg_attribute on attname = column_name
      and attrelid = format('%I.%I', table_schema, table_name)::regclass
    where table_schema = 'public' and table_name <> '_prisma_migrations'
      and is_generated = 'NEVER' order by 1, 2`,
  keys: `
    select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f')
      and conrelid <> coalesce(to_regclass('_prisma_migrations'), 0) order by 1, 2`,
  indexes: `
    select tablename, indexdef from pg_indexes
    where schemaname = 'public' and tablename <> '_prisma_migrations'
      and indexdef not like '% WHERE %' and indexdef not like '% USING gin ("dnsEndings")'
      and indexdef not like '% USING brin %' and indexdef not like '%#>>%' order by 1, 2`,
}

test('the migrations lead to schema.prisma: the same columns, keys and indexes', async () => {
  const migrated = await openTestDatabase('template0')
  const wanted = await openTestDatabase('template0')
  assert.ok((await migrate(migrated)).length > 0)
  const script = await schemaDiff(wanted, undefined, schema)
  await withClient(wanted, (client) => client.query(script))
  for (const [what, query] of Object.entries(catalogs)) {
    const found = await ask(migrated, query)
    assert.ok(found.length > 20, what)
    // A partial index is written by hand, which Prisma cannot say, and so are checks and triggers, and a
    // column that PostgreSQL alone writes, with its index.
    assert.deepEqual(found, await ask(wanted, query), what)
  }
})

test('migrating twice changes nothing', async () => {
  const url = await openTestDatabase('template0')
  await migrate(url)
  const before = await Promise.all(Object.values(catalogs).map((query) => ask(url, query)))
  const applied = 'select migration_name, applied_steps_count from _prisma_migrations'
  const steps = await ask(url, applied)
  assert.deepEqual(await migrate(url), [])
  assert.deepEqual(
    await Promise.all(Object.values(catalogs).map((query) => ask(url, query))),
    before,
  )
  assert.deepEqual(await ask(url, applied), steps)
})

test('four processes that migrate at once agree: one does it, and all succeed', async () => {
  const url = await openTestDatabase('template0')
  const key = randomBytes(32).toString('base64')
  const settings = { DATABASE_URL: url, GATESMITH_SEALING_KEY: key }
  const all = Array.from({ length: 4 }, () => startProcess(['migrate'], settings))
  const codes = await Promise.all(all.map(({ ended }) => ended))
  assert.deepEqual(codes, [0, 0, 0, 0], all.map(({ said }) => said.err).join(''))
  const said = all.map(({ said: { out } }) => out.trim())
  assert.equal(said.filter((each) => each.startsWith('Applied ')).length, 1)
  assert.equal(said.filter((each) => each === 'Up to date').length, 3)
})
