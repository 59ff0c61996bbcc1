import { sql, type Tx } from '../../core/database/db.ts'

/** A sentence about the tenant's clients of the authority, or of one below it, that an ingress refuses
 *  whoever they are; undefined: there are none. Envoy asks for signatures by RSA and ECDSA keys alone
 *  (RFC 8446 4.4.2.3, 4.3.2), so a client with an Ed25519 key has none to show. */
export async function refusedClients(
  tx: Tx,
  { tenantId, authority, now }: { tenantId: string; authority: string; now: Date },
): Promise<string | undefined> {
  const [found] = await tx.$queryRaw<readonly { serial: string | null; count: number }[]>(sql`
    with recursive below as (
      select "id" from authority where "name" = ${authority}
      union all
      select authority."id" from below join authority on authority."parentId" = below."id"
    )
    select min("serial") as serial, count(*)::int as count from certificate
    where "authorityId" in (select "id" from below) and "tenantId" = ${tenantId}::uuid
      and "keyAlgorithm" = 'ED25519' and "profile" <> 'server'
      and "status" <> 'revoked' and "notAfter" > ${now}`)
  if (!found || found.serial === null) return undefined
  const { serial, count } = found
  const others = count > 1 ? ` and ${count - 1} more` : ''
  return `Gateways take client certificates with ECDSA and RSA keys only: that with serial ${serial}${others} has an Ed25519 key, and is refused`
}
