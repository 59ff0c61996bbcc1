import { holdAccount } from '../../authorities/acme/hold.ts'
import {
  accountKey,
  accountThumbprint,
  jwkOf,
  keepSecrets,
  secretsOfCa,
} from '../../authorities/acme/secrets.ts'
import type { Context } from '../../core/context.ts'
import { due } from '../../core/database/due.ts'
import { must } from '../../shared/must.ts'
import { type CaAccountRow, settled, tellOfAccount } from './accountrow.ts'
import { type CaSession, directoryOf, postTo, signed } from './protocol.ts'
import { CaRefusal, isPassing } from './refusal.ts'

/** How soon it is looked again whether names are still being proved. */
const pauseMilliseconds = 5_000

/** Gives the account the key that was sealed for it (RFC 8555 7.3.5). What proves a name holds the thumbprint of the
 *  key (8.1), so orders that prove names are waited for. Killed at any moment, the account is not lost: both keys are
 *  sealed until the CA is known to have taken the next, or is known to know the one before. Throws CaRefusal. */
export async function changeKey(
  ctx: Context,
  row: CaAccountRow,
  session: CaSession,
): Promise<void> {
  const { authorityId } = row
  if (await isProving(ctx, authorityId)) {
    const at = new Date(ctx.now().getTime() + pauseMilliseconds)
    return ctx.db.transaction((tx) => due(tx, 'ca.account', { authorityId }, at))
  }
  const secrets = must(await secretsOfCa(ctx, ctx.db.read, authorityId), 'it was opened')
  const next = accountKey(must(secrets.nextKey, 'a change of key has the next one'))
  try {
    await tellKey(ctx, session, next)
  } catch (error) {
    if (!(error instanceof CaRefusal) || isPassing(error)) throw error
    // Its answer may have been lost the last time: then it knows the account by the next key alone.
    if (!(await isKnownBy(ctx, { ...session, key: next }))) {
      if (!(await isKnownBy(ctx, session))) throw error
      return giveUp(ctx, row, error)
    }
  }
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const { changes } = await holdAccount(tx, authorityId)
    const { nextKey, ...rest } = must(await secretsOfCa(ctx, tx, authorityId), 'it is not given up')
    await keepSecrets(ctx, tx, { authorityId, secrets: { ...rest, key: nextKey ?? rest.key } })
    const thumbprint = accountThumbprint(next)
    const left = changes.filter((each) => each !== 'key')
    const data = { ...settled, thumbprint, changes: left, keyChangedAt: now }
    await tx.caAccount.update({ where: { authorityId }, data })
    await tellOfAccount(tx, row, 'authority.account-key-changed', { thumbprint }, now)
    if (left.length > 0) await due(tx, 'ca.account', { authorityId })
  })
}

async function isProving({ db: { read } }: Context, authorityId: string): Promise<boolean> {
  const where = { authorityId, state: 'authorizing', endedAt: null }
  return (await read.caOrder.findFirst({ where, select: { id: true } })) !== null
}

async function tellKey(
  ctx: Context,
  session: CaSession,
  next: ReturnType<typeof accountKey>,
): Promise<void> {
  const { keyChange: url } = await directoryOf(ctx, session)
  if (url === undefined) throw new CaRefusal('unsupported', 'It changes no keys of accounts')
  const account = must(session.url, 'an account that is valid has a URL')
  const payload = { account, oldKey: jwkOf(session.key) }
  const inner = await signed({ jwk: jwkOf(next), url }, payload, next)
  await postTo(ctx, session, { url, payload: inner })
}

/** Whether the CA lets the account be read by this key. Throws CaRefusal where it cannot be asked. */
async function isKnownBy(ctx: Context, session: CaSession): Promise<boolean> {
  try {
    await postTo(ctx, session, { url: must(session.url, 'an account that is valid has a URL') })
    return true
  } catch (error) {
    if (!(error instanceof CaRefusal) || isPassing(error)) throw error
    return false
  }
}

/** The CA does not want another key: the account goes on with the one that it has. */
async function giveUp(ctx: Context, row: CaAccountRow, { problem, message }: CaRefusal) {
  const { authorityId } = row
  const why = `Its key stays as it is, since the CA refused another: ${message}`
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const { changes } = await holdAccount(tx, authorityId)
    const { nextKey: _, ...secrets } = must(await secretsOfCa(ctx, tx, authorityId), 'it is held')
    await keepSecrets(ctx, tx, { authorityId, secrets })
    const left = changes.filter((each) => each !== 'key')
    const data = { ...settled, changes: left, message: why, problem }
    await tx.caAccount.update({ where: { authorityId }, data })
    await tellOfAccount(tx, row, 'authority.account-key-refused', { problem, why: message }, now)
    if (left.length > 0) await due(tx, 'ca.account', { authorityId })
  })
}
