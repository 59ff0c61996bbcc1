import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Tx } from '../../core/database/db.ts'
import { accountSubject, withNames } from './find.ts'

/** Who ends accounts and when. */
type Ender = { readonly actor: Actor; readonly now: Date }

/** Which accounts, and what they are then; what is left out makes no difference. */
type Ending = {
  readonly tenantId: string
  readonly id?: string
  readonly keyId?: string
  readonly status?: 'revoked' | 'deactivated'
}

/** Ends accounts for good: nothing they sign is taken any more, and what they have ordered and not got is invalid (RFC
 *  8555 7.3.6). Answers how many. */
export async function endAccounts(
  tx: Tx,
  { actor, now }: Ender,
  { status = 'revoked', ...which }: Ending,
): Promise<number> {
  const rows = await tx.acmeAccount.findMany({
    where: { ...which, status: 'valid' },
    include: withNames,
  })
  const accountId = { in: rows.map(({ id }) => id) }
  await tx.acmeAccount.updateMany({ where: { id: accountId }, data: { status } })
  await tx.acmeOrder.updateMany({
    where: { accountId, status: { in: ['pending', 'ready'] } },
    data: { status: 'invalid' },
  })
  for (const row of rows) {
    await record(tx, { actor, now }, 'acme-account.ended', {
      subject: accountSubject(row),
      changes: { status },
    })
  }
  return rows.length
}
