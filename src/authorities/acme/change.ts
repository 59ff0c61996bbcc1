import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import { type Context, inTransaction } from '../../core/context.ts'
import { json, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import type { Precondition } from '../../core/refusal.ts'
import { must } from '../../shared/must.ts'
import { refuse, type Violation } from '../../shared/problem.ts'
import { type Authority, type AuthorityPatch, authoritySubject } from '../authority.ts'
import { getAuthority } from '../find.ts'
import { lookAtHosts } from '../hosts.ts'
import type { IssuingAuthority } from '../issuers/current.ts'
import { lockAuthority } from '../lock.ts'
import { challengeFaults, challengeSettings, rootFaults } from './faults.ts'
import { holdAccount } from './hold.ts'
import { lookAtOrders } from './orders.ts'
import { type CaSecrets, keepSecrets, secretsOfCa } from './secrets.ts'

/** Members of a change that a CA elsewhere alone has. */
const own = ['contact', 'trustedRoots', 'profile', 'challenge', 'externalAccountBinding']
const known = ['displayName', 'retired', ...own]

/** Why an authority that signs here cannot be changed like this. */
export function ownPatchFaults(patch: AuthorityPatch): readonly Violation[] {
  return Object.keys(patch)
    .filter((name) => own.includes(name))
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
    const { externalAccountBinding: binding } = patch
    const retiredAt = retired ? (before.retiredAt ?? now) : null
    await tx.authority.update({
      where: { id },
      data: {
        ...(displayName === undefined ? {} : { displayName }),
        ...(retired === undefined ? {} : { retiredAt }),
      },
    })
    const account = await holdAccount(tx, id)
    refuse('authority-refused', binding ? bindingFaults(account) : [])
    const told = contact !== undefined && contact.join() !== account.contact.join()
    await tx.caAccount.update({
      where: { authorityId: id },
      data: {
        ...(contact === undefined ? {} : { contact }),
        ...(trustedRoots === undefined ? {} : { trustedRoots }),
        ...(profile === undefined ? {} : { profile }),
        ...(challenge === undefined ? {} : { challenge: json(challengeSettings(challenge)) }),
        ...(binding === undefined ? {} : { bindingKeyId: binding.keyId }),
        ...(told ? { changes: [...new Set([...account.changes, 'contact'])] } : {}),
      },
    })
    if (challenge || binding) {
      const before = must(await secretsOfCa(ctx, tx, id), 'it was not given up')
      await keepSecrets(ctx, tx, { authorityId: id, secrets: secretsAfter(before, patch) })
    }
    if (challenge) await proveAnew(tx, id)
    const after = await getAuthority(within, actor, name)
    const changes = changed(seen, after)
    if (seen.retiredAt !== after.retiredAt) {
      await lookAtHosts(tx, name)
      await lookAtOrders(tx, id)
    }
    if (Object.keys(changes).length > 0 || challenge || binding) {
      const subject = authoritySubject(before)
      await record(tx, { actor, now }, 'authority.changed', { subject, changes })
    }
    // What failed is tried again as it is now.
    if (told || binding || account.state === 'failed')
      await due(tx, 'ca.account', { authorityId: id })
    return after
  })
}

/** The CA has bound the account already. */
function bindingFaults({ state }: { readonly state: string }): readonly Violation[] {
  if (state === 'registering' || state === 'failed') return []
  const message =
    'The account is opened, and bound for good: another binding is of another authority'
  return [{ field: '/externalAccountBinding', message }]
}

function secretsAfter(
  { webhookSecret, tsigSecret, hmacKey, ...kept }: CaSecrets,
  { challenge, externalAccountBinding: binding }: AuthorityPatch,
): CaSecrets {
  const bound = binding?.hmacKey ?? hmacKey
  const webhook = challenge ? challenge.webhook?.secret : webhookSecret
  const tsig = challenge ? challenge.rfc2136?.secret : tsigSecret
  return {
    ...kept,
    ...(bound === undefined ? {} : { hmacKey: bound }),
    ...(webhook === undefined ? {} : { webhookSecret: webhook }),
    ...(tsig === undefined ? {} : { tsigSecret: tsig }),
  }
}

/** What the CA was not told to look for yet is put up anew, by the way of now. */
async function proveAnew(tx: Tx, authorityId: string): Promise<void> {
  await tx.caChallenge.updateMany({
    where: { authorityId, type: 'dns-01', answeredAt: null, cleanedAt: null },
    data: { presentedAt: null, seenAt: null },
  })
  await lookAtOrders(tx, authorityId)
}

function changed(before: Authority, after: Authority): Readonly<Record<string, string | null>> {
  const said = ({ displayName, retiredAt, acme }: Authority) => ({
    ...{ displayName, retiredAt, profile: acme?.profile ?? null },
    contact: acme?.contact.join(', ') ?? null,
    challenge: JSON.stringify(acme?.challenge),
    externalAccountBinding: acme?.externalAccountBinding?.keyId ?? null,
    trustedRoots: acme?.trustedRoots ?? null,
  })
  const old = new Map(Object.entries(said(before)))
  const all = Object.entries(said(after)).filter(([name, value]) => old.get(name) !== value)
  return Object.fromEntries(all)
}
