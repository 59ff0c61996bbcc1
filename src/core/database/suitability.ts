import { isRecord } from '../../shared/shape.ts'
import { compareMigrations, migrationNames } from './migrations.ts'
import type { DatabaseSession } from './postgres.ts'

const oldest = 15

/** Throws one sentence where a pooler stands before the database: it hands a session with its locks on to the next one, and tells
 *  nobody what nobody is said to hear. */
export async function refusePooler({ query, backend }: DatabaseSession): Promise<void> {
  const [found] = await query('select pg_backend_pid() as backend')
  if (isRecord(found) && found.backend === backend) return
  throw new Error(
    'A pooler stands before the database: give GATESMITH_DATABASE_DIRECT_URL, which leads past it',
  )
}

/** Throws one sentence where the database cannot be brought to the schema of this release: its PostgreSQL is too old, or it
 *  is in use for something else. Answers the migrations in it that this release does not know, which a newer one made, and how
 *  many of this release have not been applied. */
export async function refuseUnsuitable({
  query,
}: DatabaseSession): Promise<{ readonly newer: readonly string[]; readonly missing: number }> {
  const [found] = await query(
    `select current_setting('server_version_num')::int / 10000 as version,
       current_setting('server_version') as full, current_database() as name,
       to_regclass('_prisma_migrations') is not null as migrated,
       exists (select from pg_class as own
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and not exists (
           select from pg_depend where classid = 'pg_class'::regclass and objid = own.oid and deptype = 'e')) as used`,
  )
  if (!isRecord(found)) throw new Error('The database does not say what it is')
  const { version, full, name, migrated, used } = found
  if (Number(version) < oldest) {
    throw new Error(`PostgreSQL ${full} is too old: it must be ${oldest} or later`)
  }
  const other = `The database "${name}" is in use for something else: give DATABASE_URL one of its own`
  if (!migrated) {
    if (used) throw new Error(other)
    return { newer: [], missing: (await migrationNames()).length }
  }
  const { missing, begun, unknown } = await compareMigrations(query)
  if (begun.length > 0 && unknown.length === begun.length) throw new Error(other)
  return { newer: unknown, missing: missing.length }
}

/** Throws one sentence where who asks may not make what migrations make. */
export async function refuseHelpless({ query }: DatabaseSession, missing: number): Promise<void> {
  const [found] = await query(
    `select current_user as name, has_schema_privilege(current_schema(), 'create') as may`,
  )
  if (!isRecord(found) || found.may) return
  throw new Error(
    `${missing} migrations of this release are not applied, and "${found.name}" may not: run gatesmith migrate as who owns the tables`,
  )
}
