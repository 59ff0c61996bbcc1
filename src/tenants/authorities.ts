import { sql, type Tx } from '../core/database/db.ts'

/** An authority that may be referred to, and whose it is; null: every tenant's. */
export type KnownAuthority = {
  readonly id: string
  readonly name: string
  readonly tenantId: string | null
}

/** Those of these authorities that are there, held until the transaction ends: who removes one waits for
 *  what is about to refer to it (src/authorities/remove.ts), and who comes after a removal does not find
 *  it. Ask in the transaction that stores the reference. */
export function heldAuthorities(
  tx: Tx,
  names: readonly string[],
): Promise<readonly KnownAuthority[]> {
  return tx.$queryRaw<readonly KnownAuthority[]>(sql`
    select "id"::text, "name", "tenantId"::text from authority
    where "name" = any(${[...names]}) and "removedAt" is null
    order by "id" for key share`)
}
