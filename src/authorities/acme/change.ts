import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, inTransaction } from '../../core/context.ts'
import { json } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import type { Precondition } from '../../core/refusal.ts'
import { must } from '../../shared/must.ts'
import { refuse, type Violation } from '../../shared/problem.ts'
import { type Authority, type AuthorityPatch, authoritySubject } from '../authority.ts'
import { getAuthority } from '../find.ts'
import type { IssuingAuthority } from '../issuers/current.ts'
import { lockAuthority } from '../lock.ts'
import { challengeFaults, challengeSettings, rootFaults } from './faults.ts'
import { holdAccount } from './hold.ts'
import { keepSecrets, secretsOfCa } from './secrets.ts'

/** Members of a change that a CA elsewhere has. */
const known = ['displayName', 'retired', 'contact', 'trustedRoots', 'profile', 'challenge']

/** Why an authority that signs here cannot be changed like this. */
export function ownPatchFaults(patch: AuthorityPatch): readonly Violation[] {
  return Object.keys(patch)
    .filter((name) => ['contact', 'trustedRoots', 'profile', 'challenge'].includes(name))
    .map((name) => ({ field: `/${name}`, message: `${name} is of the kind acme alone` }))
}

function patchFaults(patch: AuthorityPatch): readonly Violation[] {
  return [
    ...Object.keys(patch)
      .filter((name) => !known.includes(name))
      .map((name) => ({
        field: `/${name}`,
        message: `A CA elsewhere decides about ${name} itself: leave it out`,
      })),
    ...(patch.challenge ? challengeFaults(patch.challenge) : []),
    ...rootFaults(patch.trustedRoots),
  ]
}

/** Changes what is said of an account with a CA elsewhere; the CA is told of other contacts by a job. The same twice
 *  changes nothing. Throws authority-unknown, authority-refused. */
export async function changeCa(
  ctx: Context,
  actor: Actor,
  { authority, patch }: { readonly authority: IssuingAuthority; readonly patch: AuthorityPatch },
  expected?: Precondition,
): Promise<Authority> {
  refuse('authority-refused', patchFaults(patch))
  const { id, name } = authority
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const before = await lockAuthority(tx, authority)
    const within = inTransaction(ctx, tx)
    const seen = await getAuthority(within, actor, name)
    expected?.(seen)
    const { contact, trustedRoots, profile, challenge, displayName, retired } = patch
    const retiredAt = retired ? (before.retiredAt ?? now) : null
    await tx.authority.update({
      where: { id },
      data: {
        ...(displayName === undefined ? {} : { displayName }),
        ...(retired === undefined ? {} : { retiredAt }),
      },
    })
    const account = await holdAccount(tx, id)
    const told = contact !== undefined && contact.join() !== account.contact.join()
    await tx.caAccount.update({
      where: { authorityId: id },
      data: {
        ...(contact === undefined ? {} : { contact }),
        ...(trustedRoots === undefined ? {} : { trustedRoots }),
        ...(profile === undefined ? {} : { profile }),
        ...(challenge === undefined ? {} : { challenge: json(challengeSettings(challenge)) }),
        ...(told ? { changes: [...new Set([...account.changes, 'contact'])] } : {}),
      },
    })
    if (challenge) {
      const {
        webhookSecret: _,
        tsigSecret: __,
        ...kept
      } = must(await secretsOfCa(ctx, tx, id), 'it was not given up')
      const secrets = {
        ...kept,
        ...(challenge.webhook ? { webhookSecret: challenge.webhook.secret } : {}),
        ...(challenge.rfc2136 ? { tsigSecret: challenge.rfc2136.secret } : {}),
      }
      await keepSecrets(ctx, tx, { authorityId: id, secrets })
    }
    const after = await getAuthority(within, actor, name)
    const changes = changed(seen, after)
    if (Object.keys(changes).length > 0 || challenge) {
      const subject = authoritySubject(before)
      await record(tx, { actor, now }, 'authority.changed', { subject, changes })
    }
    // What failed is tried again as it is now.
    if (told || account.state === 'failed') await due(tx, 'ca.account', { authorityId: id })
    return after
  })
}

function changed(before: Authority, after: Authority): Readonly<Record<string, string | null>> {
  const said = ({ displayName, retiredAt, acme }: Authority) => ({
    ...{ displayName, retiredAt, profile: acme?.profile ?? null },
    contact: acme?.contact.join(', ') ?? null,
    challenge: JSON.stringify(acme?.challenge),
    trustedRoots: acme?.trustedRoots ?? null,
  })
  const old = new Map(Object.entries(said(before)))
  const all = Object.entries(said(after)).filter(([name, value]) => old.get(name) !== value)
  return Object.fromEntries(all)
}
