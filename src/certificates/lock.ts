import { sql, type Tx } from '../core/database/db.ts'

/** Has whoever else would change or replace this certificate wait until the transaction ends. Where there is none of this
 *  id nothing is held. */
export async function lockCertificate(tx: Tx, id: string): Promise<void> {
  await tx.$executeRaw(sql`select 1 from certificate where "id" = ${id}::uuid for update`)
}
