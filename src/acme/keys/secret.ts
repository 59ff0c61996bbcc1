import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { isId } from '../../shared/schema.ts'

/** What clients sign with (RFC 8555 7.3.4), sealed for the row of its key. */
export function sealMacKey(ctx: Context, keyId: string, mac: Buffer): Buffer {
  return ctx.seal.seal(bindingOf(keyId), mac)
}

/** A key in force with what its clients sign with. */
export type OpenAcmeKey = Awaited<ReturnType<typeof openAcmeKey>>

/** The key of this identifier, if it may open an account of the authority now. Throws credentials-refused, without
 *  saying why. */
export async function openAcmeKey(
  ctx: Context,
  { kid, authorityId }: { readonly kid: string; readonly authorityId: string },
) {
  const refused = new Problem(
    'credentials-refused',
    'No key of this identifier opens accounts of this authority, or it is not what the binding was signed with',
  )
  if (!isId(kid)) throw refused
  const row = await ctx.db.read.acmeKey.findUnique({
    where: { id: kid },
    include: { secret: true, tenant: { select: { name: true } } },
  })
  if (!row?.secret || row.revokedAt !== null) throw refused
  if (row.expiresAt !== null && row.expiresAt <= ctx.now()) throw refused
  if (row.authorityId !== null && row.authorityId !== authorityId) throw refused
  const { secret, ...key } = row
  return { key, mac: ctx.seal.open(bindingOf(kid), Buffer.from(secret.sealed)), refused }
}

function bindingOf(keyId: string): string {
  return `acme_key_secret/${keyId}`
}
