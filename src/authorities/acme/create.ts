import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, inTransaction, newId } from '../../core/context.ts'
import { isDuplicate, json } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { must } from '../../shared/must.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { ownerIdOf } from '../add.ts'
import { type Authority, authoritySubject, type NewAuthority } from '../authority.ts'
import { getAuthority } from '../find.ts'
import { reservedNameFaults } from '../issuers/store.ts'
import { challengeSettings, newCaFaults } from './faults.ts'
import { accountKey, accountThumbprint, keepSecrets, newAccountKey } from './secrets.ts'

/** Makes an authority of the kind acme: a CA elsewhere that certifies hosts by RFC 8555. Its account key is made here
 *  and sealed; a job registers the account. Throws authority-exists, authority-refused, tenant-unknown. */
export async function createCa(
  ctx: Context,
  actor: Actor,
  request: NewAuthority,
): Promise<Authority> {
  refuse('authority-refused', [...reservedNameFaults(request.name), ...newCaFaults(request)])
  const { name, displayName = null, tenant = null, directory, contact = [] } = request
  const { externalAccountBinding: binding, trustedRoots = '', profile = null } = request
  const challenge = must(request.challenge, 'a challenge was asked for')
  const key = await newAccountKey(ctx)
  const now = ctx.now()
  const id = newId(now)
  const secrets = {
    key,
    ...(binding ? { hmacKey: binding.hmacKey } : {}),
    ...(challenge.webhook ? { webhookSecret: challenge.webhook.secret } : {}),
    ...(challenge.rfc2136 ? { tsigSecret: challenge.rfc2136.secret } : {}),
  }
  try {
    return await ctx.db.transaction(async (tx) => {
      const tenantId = await ownerIdOf(tx, tenant)
      const said = { id, name, displayName, kind: 'acme', tenantId, createdAt: now }
      await tx.authority.create({ data: { ...said, outlive: 'truncate', profiles: ['server'] } })
      await tx.caAccount.create({
        data: {
          authorityId: id,
          directory: must(directory, 'a directory was asked for'),
          contact,
          profile,
          challenge: json(challengeSettings(challenge)),
          trustedRoots,
          bindingKeyId: binding?.keyId ?? null,
          state: 'registering',
          thumbprint: accountThumbprint(accountKey(key)),
        },
      })
      await keepSecrets(ctx, tx, { authorityId: id, secrets })
      await record(tx, { actor, now }, 'authority.created', {
        subject: authoritySubject({ id, name, tenantId }),
        changes: {
          ...{ kind: 'acme', tenant, directory, contact, profile, challenge: challenge.type },
          ...(binding ? { externalAccountBinding: binding.keyId } : {}),
        },
      })
      await due(tx, 'ca.account', { authorityId: id })
      return getAuthority(inTransaction(ctx, tx), actor, name)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem('authority-exists', `There is an authority "${name}"`)
  }
}
