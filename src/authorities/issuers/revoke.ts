import { record } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { brokenRules } from '../../shared/brokenrules.ts'
import { must } from '../../shared/must.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import type { RevocationReason } from '../../x509/crl/reasons.ts'
import { needTwo } from '../approvals/policy.ts'
import { authoritySubject } from '../authority.ts'
import { revoking } from '../crl/revocation.ts'
import { markListsStale } from '../crl/stale.ts'
import { authorityShard } from '../crl/urls.ts'
import { dueAll, trustingPlacements } from '../trust/placements.ts'
import { type IssuingAuthority, issuingAuthority } from './current.ts'
import { type IssuerView, issuerShown, issuerView } from './view.ts'

/** Revokes a certificate of an authority, which the authority above signed: it goes on the lists of
 *  that one, which says so by OCSP at once, and hosts that let in clients of its key trust it no more.
 *  One that signs new certificates is not revoked: the key is changed first (./rotate.ts). Revoking
 *  twice changes nothing. Throws authority-unknown, issuer-unknown, authority-refused,
 *  authority-keyless, certificate-expired, approval-needed. */
export async function revokeIssuer(
  ctx: Context,
  actor: Actor,
  { authority: name, id, reason }: { authority: string; id: string; reason: RevocationReason },
): Promise<IssuerView> {
  allowPlatform(actor, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  needTwo(ctx, authority)
  const by = { actor, now: ctx.now() }
  return ctx.db.transaction(async (tx) => {
    await revoke(tx, by, { authority, id, reason })
    const include = issuerShown
    return issuerView(await tx.issuer.findUniqueOrThrow({ where: { id }, include }), actor)
  })
}

async function revoke(
  tx: Tx,
  { actor, now }: { actor: Actor; now: Date },
  { authority, id, reason }: { authority: IssuingAuthority; id: string; reason: RevocationReason },
): Promise<void> {
  // A rotation that is about to make it sign, or to end that, waits here.
  await tx.$executeRaw(sql`select 1 from issuer where "id" = ${id}::uuid for update`)
  const { row, above } = await findFor(tx, authority, id)
  const result = revoking(row, { reason, now })
  if (result.outcome === 'expired') {
    throw new Problem('certificate-expired', `It ended at ${row.notAfter.toISOString()}`)
  }
  if (result.outcome === 'unchanged') return
  const { revokedAt } = result
  await tx.issuer.update({
    where: { id },
    data: { revokedAt, revocationReason: result.reason, trusted: false, served: false },
    select: { id: true },
  })
  if (row.trusted) await dueAll(tx, await trustingPlacements(tx, authority.name))
  await record(tx, { actor, now }, 'authority.issuer-revoked', {
    subject: authoritySubject(authority),
    changes: {
      serial: row.serial,
      signedBy: above.authority.name,
      reason: result.reason,
      revokedAt: revokedAt.toISOString(),
    },
  })
  const list = { keyId: above.keyId, shard: authorityShard }
  await markListsStale(tx, list, { authority: true })
}

/** The certificate and the one above it, if it can be revoked. */
async function findFor(tx: Tx, { id: authorityId, name }: IssuingAuthority, id: string) {
  const row = await tx.issuer.findFirst({
    where: { id, authorityId },
    include: {
      rotationsTo: { where: { step: { not: 'done' } }, select: { id: true } },
      parent: {
        select: {
          keyId: true,
          key: { select: { store: true } },
          authority: { select: { name: true } },
        },
      },
    },
  })
  if (!row) throw new Problem('issuer-unknown', `"${name}" has no certificate ${id}`)
  const faults = brokenRules([
    [
      row.parent === null,
      'No authority here signed it, so no list here can name it: rotate the key instead',
    ],
    [row.issues, 'It signs new certificates: rotate the key first, and revoke it then'],
    [row.rotationsTo.length > 0, 'The key is being changed to this one'],
  ])
  refuse(
    'authority-refused',
    faults.map((message) => ({ field: '', message })),
  )
  const above = must(row.parent, 'what nobody here signed was not refused')
  if (above.key.store === 'absent') {
    throw new Problem(
      'authority-keyless',
      `The key of "${above.authority.name}", which would sign the list, is not held here`,
    )
  }
  return { row, above }
}
