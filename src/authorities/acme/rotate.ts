import { record } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import { type Context, inTransaction } from '../../core/context.ts'
import { due } from '../../core/database/due.ts'
import { must } from '../../shared/must.ts'
import { Problem } from '../../shared/problem.ts'
import { type Authority, authoritySubject } from '../authority.ts'
import { getAuthority } from '../find.ts'
import { issuingAuthority } from '../issuers/current.ts'
import { lockAuthority } from '../lock.ts'
import { holdAccount } from './hold.ts'
import {
  accountKey,
  accountThumbprint,
  keepSecrets,
  newAccountKey,
  secretsOfCa,
} from './secrets.ts'

/** Begins to give the account with a CA elsewhere another key, which is made here and sealed: a job tells the CA (RFC
 *  8555 7.3.5), and what is ordered meanwhile waits. Of an account that the CA does not know, or has ended, another one
 *  is opened by the new key. Asked again while it is under way, nothing changes. Throws authority-unknown,
 *  authority-refused. */
export async function rotateAccountKey(
  ctx: Context,
  actor: Actor,
  name: string,
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  if (authority.kind !== 'acme') {
    const why = `"${name}" signs here and has no account: POST /v1/authorities/${name}/rotate changes its key`
    throw new Problem('authority-refused', why)
  }
  const next = await newAccountKey(ctx)
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const { id } = authority
    const row = await lockAuthority(tx, authority)
    const within = inTransaction(ctx, tx)
    const { changes, state, thumbprint: before } = await holdAccount(tx, id)
    if (changes.includes('key')) return getAuthority(within, actor, name)
    const secrets = must(await secretsOfCa(ctx, tx, id), 'the account was not given up')
    const thumbprint = accountThumbprint(accountKey(next))
    const known = state === 'valid'
    const kept = known ? { ...secrets, nextKey: next } : { ...secrets, key: next }
    await keepSecrets(ctx, tx, { authorityId: id, secrets: kept })
    await tx.caAccount.update({
      where: { authorityId: id },
      data: known
        ? { changes: [...changes, 'key'], retryAt: null }
        : { thumbprint, state: 'registering', url: null, failures: 0, retryAt: null },
    })
    await record(tx, { actor, now }, 'authority.account-key-rotating', {
      subject: authoritySubject(row),
      changes: { thumbprint, thumbprintBefore: before },
    })
    await due(tx, 'ca.account', { authorityId: id })
    return getAuthority(within, actor, name)
  })
}
