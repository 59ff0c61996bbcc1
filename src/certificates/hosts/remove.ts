import Type from 'typebox'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Precondition } from '../../core/refusal.ts'
import { CompleteSpec, type Host } from '../../hosts/host.ts'
import { removeHost } from '../../hosts/remove.ts'
import { closed, Id } from '../../shared/schema.ts'
import { shownJson } from '../../shared/view.ts'
import { policyOf } from '../../tenants/access.ts'
import type { OnRemoval, Policy } from '../../tenants/tenant.ts'
import { revokeOne } from '../revocation/revoke.ts'

/** A certificate that was revoked with its host. */
export const RevokedWithHost = closed(
  { id: Id, serial: Type.String() },
  { title: 'RevokedWithHost' },
)
type RevokedWithHost = Type.Static<typeof RevokedWithHost>

/** What becomes of the certificates of a host that is removed: as it says itself, or else its tenant. */
export function onRemovalOf(
  { onRemoval }: Pick<CompleteSpec, 'onRemoval'>,
  { onHostRemoval }: Policy,
): Type.Static<typeof OnRemoval> {
  return onRemoval ?? onHostRemoval ?? 'keep'
}

/** Removes a host as removeHost does, and where it or its tenant asks for that, revokes in the same transaction for
 *  cessationOfOperation (RFC 5280 5.3.1) each certificate of it that is in force; those are answered, and are in the
 *  audit trail. Throws what removeHost throws. */
export async function retireHost(
  ctx: Context,
  actor: Actor,
  asked: { readonly tenant: string; readonly name: string },
  expected?: Precondition,
): Promise<{ readonly host: Host; readonly revoked: RevokedWithHost[] }> {
  const now = ctx.now()
  const revoked: RevokedWithHost[] = []
  const host = await removeHost(ctx, actor, asked, expected, async (tx, { id: hostId, ...row }) => {
    const tenant = await tx.tenant.findUniqueOrThrow({
      where: { id: row.tenantId },
      select: { policy: true },
    })
    const spec = shownJson(CompleteSpec, row.spec)
    if (onRemovalOf(spec, policyOf(tenant)) === 'keep') return
    const inForce = await tx.certificate.findMany({
      where: { hostId, status: 'active', notAfter: { gte: now } },
      select: { id: true, serial: true },
      orderBy: { id: 'asc' },
    })
    for (const one of inForce) {
      await revokeOne(tx, { actor, now }, { id: one.id, reason: 'cessationOfOperation' })
      revoked.push(one)
    }
  })
  return { host, revoked }
}
