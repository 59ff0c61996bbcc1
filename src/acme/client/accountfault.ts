import Type from 'typebox'
import { accountThumbprint } from '../../authorities/acme/secrets.ts'
import type { Context } from '../../core/context.ts'
import { due } from '../../core/database/due.ts'
import { conforms } from '../../shared/shape.ts'
import { readAccount } from './accountrow.ts'
import { type CaSession, jsonIn, postTo } from './protocol.ts'
import { CaRefusal, isPassing } from './refusal.ts'

/** What a CA says of an account that it does not know, has ended, or knows by another key; of what was asked, too. */
const suspects: ReadonlySet<string> = new Set([
  ...['accountDoesNotExist', 'unauthorized', 'malformed', 'unknown', 'userActionRequired'],
])

/** Whether it is the account that a CA refused, and not what was asked in its name: its key is being changed, the CA
 *  does not know it, has ended it, or has terms that it is to agree to. That is said on the authority then. Answers the
 *  sentence; undefined: the account is as it should be. Throws CaRefusal where the CA cannot be asked. */
export async function accountFault(
  ctx: Context,
  session: CaSession,
  refusal: CaRefusal,
): Promise<string | undefined> {
  if (!suspects.has(refusal.problem)) return undefined
  const { authorityId } = session
  const row = await readAccount(ctx, authorityId)
  if (!row) return undefined
  const changing = row.thumbprint !== accountThumbprint(session.key) || row.changes.includes('key')
  if (changing) return 'the key of the account with the CA is being changed'
  const known = { authorityId, thumbprint: row.thumbprint, state: 'valid' }
  if (refusal.problem === 'userActionRequired') {
    const { problem, message } = refusal
    await ctx.db.read.caAccount.updateMany({ where: known, data: { problem, message } })
    return `${message} (${problem})`
  }
  const said = await standing(ctx, session)
  if (said === undefined) return undefined
  if (said !== 'accountDoesNotExist') {
    const message = endedSentence(row.authority.name, said)
    const data = { state: 'failed', problem: 'unauthorized', message, retryAt: null }
    await ctx.db.read.caAccount.updateMany({ where: known, data })
    return message
  }
  await ctx.db.transaction(async (tx) => {
    const data = { state: 'registering', url: null }
    const { count } = await tx.caAccount.updateMany({ where: known, data })
    if (count > 0) await due(tx, 'ca.account', { authorityId })
  })
  return 'the CA does not know the account any more, which is opened anew'
}

/** What the CA says of the account; undefined: nothing against it. */
async function standing(ctx: Context, session: CaSession): Promise<string | undefined> {
  try {
    return endedIn(await postTo(ctx, session, { url: session.url ?? '' }))
  } catch (error) {
    if (!(error instanceof CaRefusal) || isPassing(error)) throw error
    return error.problem === 'accountDoesNotExist' ? error.problem : error.message
  }
}

const Account = Type.Object({ status: Type.Enum(['deactivated', 'revoked']) })

/** How an account has ended, as its CA tells it (RFC 8555 7.1.2); undefined: it has not. */
export function endedIn(answer: { readonly body: Buffer }): string | undefined {
  const document = jsonIn(answer)
  return conforms(Account, document) ? `it is ${document.status}` : undefined
}

/** That an account has ended at the CA, and what may be done. */
export function endedSentence(authority: string, said: string): string {
  return `The CA has ended the account (${said}): POST /v1/authorities/${authority}/account-key/rotate opens another`
}
