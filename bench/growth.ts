import { issueCertificate } from '../src/certificates/issuance/issue.ts'
import { systemActor } from '../src/core/actor.ts'
import { setStage } from './stage.ts'

// node bench/growth.ts [certificates = 10000]
// What the database grows by with each certificate: octets of each table, of its indexes, and of the write-ahead log.

const [wanted = 10_000] = process.argv.slice(2).map(Number)
const stage = await setStage()
const { ctx } = stage
const actor = systemActor('bench')
const say = (line: string) => process.stdout.write(`${line}\n`)

async function issue(count: number): Promise<void> {
  let left = count
  const lane = async () => {
    while (left-- > 0) {
      const request = { profile: 'server' as const, dnsNames: [`n${left}.bench.test`] }
      await issueCertificate(ctx, actor, { tenant: 'bench', request, idempotencyKey: undefined })
    }
  }
  await Promise.all(Array.from({ length: 64 }, lane))
}

type Size = { readonly name: string; readonly table: number; readonly indexes: number }

const sizes = `
  select relname as name, pg_table_size(oid)::float8 as "table", pg_indexes_size(oid)::float8 as indexes
  from pg_class where relkind = 'r' and relnamespace in ('public'::regnamespace, 'graphile_worker'::regnamespace)
  order by pg_total_relation_size(oid) desc`

async function measured() {
  await ctx.db.statement('vacuum analyze', [])
  const [wal] = await ctx.db.read.$queryRawUnsafe<readonly { at: number }[]>(
    `select (pg_current_wal_insert_lsn() - '0/0')::float8 as at`,
  )
  return { tables: await ctx.db.read.$queryRawUnsafe<readonly Size[]>(sizes), wal: wal?.at ?? 0 }
}

try {
  // Pages that are begun, and a log that has whole pages in it for the first time, are no part of what grows.
  await issue(2_000)
  await ctx.db.statement('checkpoint', [])
  const before = await measured()
  await issue(wanted)
  const after = await measured()
  let all = 0
  for (const { name, table, indexes } of after.tables) {
    const old = before.tables.find((each) => each.name === name) ?? { table: 0, indexes: 0 }
    const [own, beside] = [(table - old.table) / wanted, (indexes - old.indexes) / wanted]
    all += own + beside
    if (own + beside >= 1)
      say(`${name}: ${own.toFixed(0)} octets, its indexes ${beside.toFixed(0)}`)
  }
  say(
    `a certificate: ${all.toFixed(0)} octets, and ${((after.wal - before.wal) / wanted).toFixed(0)} of log`,
  )
} finally {
  await stage.stop()
}
