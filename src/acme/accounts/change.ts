import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { isDuplicate, json } from '../../core/database/db.ts'
import { must } from '../../shared/must.ts'
import { accessTenant } from '../../tenants/access.ts'
import { endAccounts } from './end.ts'
import { type AccountRow, accountSubject, accountUnknown, findAccountOfKey } from './find.ts'

/** Gives an account other contacts (RFC 8555 7.3.2). */
export async function changeContact(
  ctx: Context,
  actor: Actor,
  { account, contact }: { readonly account: AccountRow; readonly contact: readonly string[] },
): Promise<AccountRow> {
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    await tx.acmeAccount.update({ where: { id: account.id }, data: { contact: [...contact] } })
    await record(tx, { actor, now }, 'acme-account.changed', {
      subject: accountSubject(account),
      changes: { contact, contactBefore: account.contact },
    })
  })
  return { ...account, contact: [...contact] }
}

/** A public key in the place of another. */
type KeyChange = {
  readonly account: AccountRow
  readonly jwk: object
  readonly thumbprint: string
}

/** Gives an account another public key (RFC 8555 7.3.5). Answers the account that has that key already, where there
 *  is one. */
export async function changeAccountKey(
  ctx: Context,
  actor: Actor,
  { account, jwk, thumbprint }: KeyChange,
): Promise<AccountRow | undefined> {
  const now = ctx.now()
  const { id, authorityId } = account
  try {
    await ctx.db.transaction(async (tx) => {
      await tx.acmeAccount.update({ where: { id }, data: { jwk: json(jwk), thumbprint } })
      await record(tx, { actor, now }, 'acme-account.key-changed', {
        subject: accountSubject(account),
        changes: { thumbprint, thumbprintBefore: account.thumbprint },
      })
    })
    return undefined
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const holder = await findAccountOfKey(ctx.db.read, { authorityId, thumbprint })
    return must(holder, 'a key is taken by no account')
  }
}

/** Ends an account for its client (RFC 8555 7.3.6). */
export async function deactivateAccount(
  ctx: Context,
  actor: Actor,
  { id, tenantId }: AccountRow,
): Promise<void> {
  const now = ctx.now()
  await ctx.db.transaction((tx) =>
    endAccounts(tx, { actor, now }, { tenantId, id, status: 'deactivated' }),
  )
}

/** Revokes an account for its tenant; its certificates stay good. One that has ended stays as it is. Throws
 *  tenant-unknown, acme-account-unknown. */
export async function revokeAcmeAccount(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { tenant: string; id: string },
): Promise<void> {
  const access = { name: tenant, permission: 'write-acme-keys' } as const
  const { id: tenantId } = await accessTenant(ctx, actor, access)
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const where = { id, tenantId }
    if ((await tx.acmeAccount.count({ where })) === 0) throw accountUnknown(id)
    await endAccounts(tx, { actor, now }, where)
  })
}
