import { sql, type Tx } from '../../core/database/db.ts'

/** The account of an authority as it is now, held until the transaction ends: who changes what is sealed or is to be
 *  told to the CA waits, or is waited for, or one would put back what the other has just replaced. */
export async function holdAccount(tx: Tx, authorityId: string) {
  await tx.$executeRaw(sql`
    select 1 from ca_account where "authorityId" = ${authorityId}::uuid for update`)
  return tx.caAccount.findUniqueOrThrow({ where: { authorityId } })
}
