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

/** Those of them that a database has not been brought through. Throws what the database says, also where
 *  it was never brought through any. */
export async function unapplied(
  query: (text: string, values: readonly unknown[]) => Promise<readonly unknown[]>,
): Promise<readonly string[]> {
  const rows = await query(
    'select migration_name from _prisma_migrations where finished_at is not null and rolled_back_at is null',
    [],
  )
  const applied = new Set(rows.map((row) => (isRecord(row) ? row.migration_name : undefined)))
  return (await migrationNames()).filter((name) => !applied.has(name))
}
