import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { sql } from '../../core/database/db.ts'
import { oncePer } from '../../core/onceper.ts'
import { oneOf } from '../../shared/oneof.ts'
import { settableReasons } from '../../x509/crl/reasons.ts'
import type { CertStatus } from '../../x509/ocsp.ts'

type Issued = {
  readonly serial: string
  readonly keyId: string
  readonly revokedAt: Date | null
  readonly reason: string | null
}

/** What is on record of serials, for questions that come in the same moment by one statement: leaves,
 *  authorities and responders. One that is still `signing` may be out there, so it counts. */
const issuedOf = oncePer((ctx) =>
  batchedReads<Issued>(
    (serials) =>
      ctx.db.read.$queryRaw<readonly Issued[]>(sql`
        select certificate."serial", issuer."keyId"::text as "keyId",
          certificate."revokedAt", certificate."revocationReason" as reason
        from certificate join issuer on issuer."id" = certificate."issuerId"
        where certificate."serial" = any(${serials})
        union all
        select issuer."serial", parent."keyId"::text, issuer."revokedAt", issuer."revocationReason"
        from issuer join issuer parent on parent."id" = coalesce(issuer."parentId", issuer."id")
        where issuer."serial" = any(${serials})
        union all
        select "serial", "keyId"::text, null, null from responder
        where "serial" = any(${serials})`),
    ({ serial }) => serial,
  ),
)

/** What is known of the certificate of this serial as one that the key issued: never good when there is
 *  none on record. */
export async function statusOf(
  ctx: Context,
  { keyId, serial }: { readonly keyId: string; readonly serial: string },
): Promise<CertStatus> {
  const issued = await issuedOf(ctx)(serial)
  if (!issued || issued.keyId !== keyId) return { status: 'unknown' }
  const { revokedAt, reason } = issued
  if (!revokedAt) return { status: 'good' }
  return { status: 'revoked', revokedAt, reason: oneOf(settableReasons, reason ?? 'unspecified') }
}
