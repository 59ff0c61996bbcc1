import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import { type Context, inTransaction } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import type { Precondition } from '../core/refusal.ts'
import { refuse, type Violation } from '../shared/problem.ts'
import { profilesUnder } from '../x509/certificates/purposes.ts'
import { readCertificate } from '../x509/certificates/read.ts'
import { changeCa, ownPatchFaults } from './acme/change.ts'
import { needTwo } from './approvals/policy.ts'
import { type Authority, type AuthorityPatch, authoritySubject } from './authority.ts'
import { getAuthority } from './find.ts'
import { lookAtHosts } from './hosts.ts'
import { currentIssuer, issuingAuthority, pathOf } from './issuers/current.ts'
import { profileFaults, validityLimitFaults } from './issuers/store.ts'
import { lockAuthority } from './lock.ts'
import { dueAll, trustingPlacements } from './trust/placements.ts'

/** Changes what is named in `patch` and leaves the rest: what people call it, its limits on leaves that
 *  are yet to come, and whether it is retired. Its hosts are looked at when it signs other things than
 *  before, and say so where they get no certificate of it any more. The same twice changes nothing.
 *  Throws authority-unknown, authority-refused, approval-needed. */
export async function changeAuthority(
  ctx: Context,
  actor: Actor,
  { name, patch }: { name: string; patch: AuthorityPatch },
  expected?: Precondition,
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  if (authority.kind === 'acme') return changeCa(ctx, actor, { authority, patch }, expected)
  refuse('authority-refused', ownPatchFaults(patch))
  const { id, issuers } = authority
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const before = await lockAuthority(tx, { id, name })
    if (patch.approval === 'one-person' && before.approval !== 'one-person') needTwo(ctx, before)
    expected?.(await getAuthority(inTransaction(ctx, tx), actor, name))
    const {
      retired,
      contact: _,
      trustedRoots: __,
      profile: ___,
      challenge: ____,
      externalAccountBinding: _____,
      ...columns
    } = patch
    const retiredAt = retired ? (before.retiredAt ?? now) : null
    const data = { ...columns, ...(retired === undefined ? {} : { retiredAt }) }
    const limits = { ...before, ...data }
    const issuerId = currentIssuer({ name, issuers }).id
    refuse('authority-refused', [
      ...validityLimitFaults(limits),
      ...(await signedFaults(tx, issuerId, patch)),
    ])
    const changes = differences(factsOf(before), factsOf(limits))
    if (Object.keys(changes).length > 0) {
      await tx.authority.update({ where: { id }, data })
      const subject = authoritySubject(before)
      await record(tx, { actor, now }, 'authority.changed', { subject, changes })
    }
    if ('retired' in changes || 'profiles' in changes) await lookAtHosts(tx, name)
    if ('listOverflow' in changes) await dueAll(tx, await trustingPlacements(tx, name))
    return getAuthority(inTransaction(ctx, tx), actor, name)
  })
}

/** Profiles that its certificates would not be taken for. */
async function signedFaults(
  tx: Tx,
  issuerId: string,
  { profiles }: AuthorityPatch,
): Promise<readonly Violation[]> {
  if (profiles === undefined) return []
  const path = await pathOf(tx, issuerId)
  return profileFaults({ profiles }, profilesUnder(path.map(({ der }) => readCertificate(der))))
}

type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>

function factsOf(row: {
  readonly displayName: string | null
  readonly maxValidityDays: number | null
  readonly defaultValidityDays: number | null
  readonly profiles: readonly string[]
  readonly outlive: string
  readonly listOverflow: string
  readonly approval: string
  readonly retiredAt: Date | null
}): Facts {
  const { displayName, maxValidityDays, defaultValidityDays, profiles, outlive } = row
  const { listOverflow, approval, retiredAt } = row
  const limits = { maxValidityDays, defaultValidityDays, profiles, outlive, listOverflow, approval }
  return { displayName, ...limits, retired: retiredAt !== null }
}

/** What is another after than before, and what it was. */
function differences(before: Facts, after: Facts): Facts {
  const changed = Object.entries(after).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]),
  )
  if (changed.length === 0) return {}
  const old = Object.fromEntries(changed.map(([name]) => [name, before[name]]))
  return { ...Object.fromEntries(changed), before: JSON.stringify(old) }
}
