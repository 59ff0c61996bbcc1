import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'

/** A certificate's private key (PKCS#8 DER) sealed for its row. */
export function sealPrivateKey(ctx: Context, certificateId: string, pkcs8: Buffer): Buffer {
  return ctx.seal.seal(bindingOf(certificateId), pkcs8)
}

/** The private key of a certificate whose key was made here, PKCS#8 DER. Throws key-absent when the
 *  caller kept it. */
export async function openPrivateKey(ctx: Context, certificateId: string): Promise<Buffer> {
  const row = await ctx.db.read.certificateSecret.findUnique({ where: { certificateId } })
  if (!row) {
    throw new Problem('key-absent', 'The key of this certificate is with whoever sent its CSR')
  }
  return ctx.seal.open(bindingOf(certificateId), Buffer.from(row.sealed))
}

function bindingOf(certificateId: string): string {
  return `certificate_secret/${certificateId}`
}
