import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isRecord } from '../../shared/shape.ts'
import { installation } from '../installation.ts'

/** Where the migrations of this release lie. */
export const migrations = join(installation, 'prisma/migrations')

/** Their names, in the order in which they are applied. */
export async function migrationNames(): Promise<readonly string[]> {
  const entries = await readdir(migrations, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}

/** Migrations of this release that a database has not been brought through, all that it was brought to, and those among
 *  these that this release does not know. Throws what the database says, also where it was never brought to any. */
export async function compareMigrations(
  query: (text: string, values: readonly unknown[]) => Promise<readonly unknown[]>,
) {
  const rows = (
    await query(
      `select migration_name as name, finished_at is not null and rolled_back_at is null as applied
       from _prisma_migrations`,
      [],
    )
  ).filter(isRecord)
  const names = await migrationNames()
  const applied = new Set(rows.flatMap((row) => (row.applied ? [row.name] : [])))
  const begun = rows.map(({ name }) => String(name))
  return {
    missing: names.filter((name) => !applied.has(name)),
    begun,
    unknown: begun.filter((name) => !names.includes(name)),
  }
}
