import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import { type Context, inTransaction } from '../core/context.ts'
import { refuse } from '../shared/problem.ts'
import { type Authority, type AuthorityPatch, authoritySubject } from './authority.ts'
import { getAuthority } from './find.ts'
import { issuingAuthority } from './issuers/current.ts'
import { validityLimitFaults } from './issuers/store.ts'

/** Changes what is named in `patch` and leaves the rest: what people call it, its limits on leaves that
 *  are yet to come, and whether it is retired. Throws authority-unknown, authority-refused. */
export async function changeAuthority(
  ctx: Context,
  actor: Actor,
  { name, patch }: { name: string; patch: AuthorityPatch },
): Promise<Authority> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  const now = ctx.now()
  const { retired, ...columns } = patch
  const retiredAt = retired ? (authority.retiredAt ?? now) : null
  const data = { ...columns, ...(retired === undefined ? {} : { retiredAt }) }
  return ctx.db.transaction(async (tx) => {
    const row = await tx.authority.update({ where: { id: authority.id }, data })
    const { maxValidityDays, defaultValidityDays } = row
    refuse('authority-refused', validityLimitFaults({ maxValidityDays, defaultValidityDays }))
    await record(tx, { actor, now }, 'authority.changed', {
      subject: authoritySubject(row),
      changes: {
        displayName: row.displayName,
        maxValidityDays,
        defaultValidityDays,
        profiles: row.profiles,
        outlive: row.outlive,
        retired: row.retiredAt !== null,
      },
    })
    return getAuthority(inTransaction(ctx, tx), actor, name)
  })
}
