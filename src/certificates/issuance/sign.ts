import { signInTurn } from '../../authorities/keys/signer.ts'
import type { Context } from '../../core/context.ts'
import { fingerprintSha256 } from '../../x509/certificates/read.ts'
import { assemble } from '../../x509/keys/sign.ts'
import { recordIssued, type SignedCertificate } from './record.ts'
import { type Reserved, type ReservedRow, takeReserved } from './reserve.ts'

/** A certificate that is on record with its signature; `stored` is false when another signature over the
 *  same bytes was there first, which then is the certificate. */
export type RecordedCertificate<Row extends ReservedRow> = SignedCertificate<Row> & {
  readonly stored: boolean
}

/** Signs exactly the bytes that are on record, once, and records the signature: none leaves this module
 *  otherwise. */
export async function signAndRecord<Row extends ReservedRow>(
  ctx: Context,
  reserved: Reserved<Row>,
): Promise<RecordedCertificate<Row>> {
  const { row, authority, tbs, signer } = takeReserved(reserved)
  const signature = await signInTurn(signer, { party: row.tenantId, bytes: tbs })
  const der = assemble(tbs, signer.algorithm, signature)
  const signed = { row, authority, der, fingerprintSha256: fingerprintSha256(der) }
  return { ...signed, stored: await recordIssued(ctx, signed) }
}
