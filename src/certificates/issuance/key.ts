import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem } from '../../shared/problem.ts'

/** A certificate's private key (PKCS#8 DER) sealed for its row. */
export function sealLeafKey(ctx: Context, certificateId: string, pkcs8: Buffer): Buffer {
  return ctx.seal.seal(bindingOf(certificateId), pkcs8)
}

/** The private key of a certificate whose key was made here, PKCS#8 DER. Throws key-absent when the
 *  caller kept it. */
export async function openLeafKey(ctx: Context, certificateId: string): Promise<Buffer> {
  const row = await secretOf(ctx)(certificateId)
  if (!row) {
    throw new Problem('key-absent', 'The key of this certificate is with whoever sent its CSR')
  }
  return ctx.seal.open(bindingOf(certificateId), Buffer.from(row.sealed))
}

const secretOf = oncePer((ctx) =>
  batchedReads(
    (ids) => ctx.db.read.certificateSecret.findMany({ where: { certificateId: { in: ids } } }),
    ({ certificateId }) => certificateId,
  ),
)

function bindingOf(certificateId: string): string {
  return `certificate_secret/${certificateId}`
}
