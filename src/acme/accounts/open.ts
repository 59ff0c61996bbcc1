import { record } from '../../audit/record.ts'
import type { Context } from '../../core/context.ts'
import { newId } from '../../core/context.ts'
import { isDuplicate, json } from '../../core/database/db.ts'
import { must } from '../../shared/must.ts'
import { emailFault } from '../../x509/names/altnames.ts'
import type { OpenAcmeKey } from '../keys/secret.ts'
import { AcmeProblem } from '../problem.ts'
import {
  type AccountRow,
  accountActor,
  accountSubject,
  findAccountOfKey,
  withNames,
} from './find.ts'

/** How many accounts in force a key has at most: one for each client that it was given to. */
const mostAccounts = 1_000

/** Which account is to be opened: by whose key, for which public key. */
export type NewAccount = {
  readonly key: OpenAcmeKey['key']
  readonly authorityId: string
  readonly jwk: object
  readonly thumbprint: string
  readonly contact: readonly string[]
  readonly requestId: string
}

/** Opens an account for a public key at the server of an authority; of two who do it at once one has opened it.
 *  Throws rateLimited for a key with too many. */
export async function openAccount(
  ctx: Context,
  { key, authorityId, jwk, thumbprint, contact, requestId }: NewAccount,
): Promise<{ readonly account: AccountRow; readonly opened: boolean }> {
  const now = ctx.now()
  const { tenantId } = key
  const row = {
    ...{ id: newId(now), tenantId, keyId: key.id, authorityId, thumbprint, status: 'valid' },
    ...{ jwk: json(jwk), contact: [...contact], createdAt: now },
  }
  try {
    const account = await ctx.db.transaction(async (tx) => {
      const held = await tx.acmeAccount.count({ where: { keyId: key.id, status: 'valid' } })
      if (held >= mostAccounts) {
        const detail = `The key has ${held} accounts: deactivate those that nobody uses, or make another key`
        throw new AcmeProblem('rateLimited', detail, { retryAfterSeconds: 3600 })
      }
      const made = await tx.acmeAccount.create({ data: row, include: withNames })
      await record(tx, { actor: accountActor(made, requestId), now }, 'acme-account.created', {
        subject: accountSubject(made),
        changes: { authority: made.authority.name, keyId: key.id, thumbprint, contact },
      })
      return made
    })
    return { account, opened: true }
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const found = await findAccountOfKey(ctx.db.read, { authorityId, thumbprint })
    return { account: must(found, 'an account is there twice and not once'), opened: false }
  }
}

/** The contacts, which are mail addresses (RFC 8555 7.3). Throws unsupportedContact, invalidContact. */
export function checkedContact(contact: readonly string[]): readonly string[] {
  for (const each of contact) {
    const [, mail] = /^mailto:(.*)$/i.exec(each) ?? []
    if (mail === undefined) {
      throw new AcmeProblem('unsupportedContact', `${each.slice(0, 80)} is not mailto:`)
    }
    const fault = emailFault(mail)
    if (fault !== undefined) throw new AcmeProblem('invalidContact', fault)
  }
  return contact
}
