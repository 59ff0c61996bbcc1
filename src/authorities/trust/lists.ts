import { sql, type Tx } from '../../core/database/db.ts'
import { dueAll, trustingPlacements } from './placements.ts'

/** Whether an unexpired certificate by which a client could come is revoked, among those that the
 *  authority issued by any of its keys: only then do gateways need its lists. */
export async function clientsRevoked(tx: Tx, authorityId: string, now: Date): Promise<boolean> {
  const [found] = await tx.$queryRaw<readonly { any: boolean }[]>(sql`
    select exists (
      select from certificate join issuer on issuer."id" = certificate."issuerId"
      where issuer."authorityId" = ${authorityId}::uuid and certificate."status" = 'revoked'
        and certificate."profile" in ('client', 'peer')
        and certificate."notAfter" >= ${now}::timestamptz
    ) as any`)
  return found?.any ?? false
}

/** Makes the placements of hosts due that let in clients of this key's authority, if their gateways
 *  hold its lists. */
export async function dueWhereTrusted(tx: Tx, keyId: string, now: Date): Promise<void> {
  const { authority } = await tx.issuer.findFirstOrThrow({
    where: { keyId },
    select: { authority: { select: { id: true, name: true } } },
  })
  if (!(await clientsRevoked(tx, authority.id, now))) return
  await dueAll(tx, await trustingPlacements(tx, authority.name))
}
