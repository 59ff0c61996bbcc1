import { sql, type Tx } from '../core/database/db.ts'
import { authorityUnknown } from './authority.ts'

type Named = { readonly id: string; readonly name: string }

/** The row of an authority as it is now, to be changed or removed: whoever stores a reference to it waits,
 *  or is waited for. Throws authority-unknown when it was removed meanwhile. */
export async function lockAuthority(tx: Tx, { id, name }: Named) {
  await tx.$executeRaw(sql`select 1 from authority where "id" = ${id}::uuid for update`)
  const row = await tx.authority.findFirst({ where: { id, removedAt: null } })
  if (!row) throw authorityUnknown(name)
  return row
}
