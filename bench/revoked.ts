import { issueCertificate } from '../src/certificates/issuance/issue.ts'
import { systemActor } from '../src/core/actor.ts'
import type { Context } from '../src/core/context.ts'
import { sql } from '../src/core/database/db.ts'
import { must } from '../src/shared/must.ts'

export const actor = systemActor('bench')

/** A certificate of the bench's tenant. */
export function issueOne(ctx: Context) {
  return issueCertificate(ctx, actor, {
    tenant: 'bench',
    request: { profile: 'server', dnsNames: ['www.bench.test'] },
    idempotencyKey: undefined,
  })
}

/** Puts so many revoked certificates of the bench's issuing key on record, as copies of one under
 *  serials of their own. Answers the key's id. */
export async function recordRevoked(ctx: Context, count: number, from = 1): Promise<string> {
  const { id } = await issueOne(ctx)
  await ctx.db.read.$executeRaw(sql`
    insert into certificate ("id", "tenantId", "authorityId", "issuerId", "profile", "status", "serial",
      "subject", "dnsNames", "ipAddresses", "emailAddresses", "uris", "keyAlgorithm", "spkiSha256",
      "keySource", "notBefore", "notAfter", "der", "fingerprintSha256", "cause", "createdAt",
      "crlShard", "revokedAt", "revocationReason")
    select gen_random_uuid(), "tenantId", "authorityId", "issuerId", "profile", 'revoked',
      '5' || substr(md5(n::text), 2), "subject", "dnsNames", "ipAddresses", "emailAddresses", "uris",
      "keyAlgorithm", "spkiSha256", "keySource", "notBefore", "notAfter", "der", "fingerprintSha256",
      "cause", "createdAt", "crlShard", "notBefore",
      case when n % 2 = 0 then 'keyCompromise' else 'superseded' end
    from certificate, generate_series(${from}::int, ${from + count - 1}::int) as n where "id" = ${id}::uuid`)
  await ctx.db.read.$executeRaw(sql`analyze certificate`)
  const { issuer } = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id },
    select: { issuer: { select: { keyId: true } } },
  })
  return must(issuer, 'it was issued here').keyId
}
