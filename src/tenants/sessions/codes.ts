import type { Context } from '../../core/context.ts'
import { bytes, sql } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import { tokenHash } from '../apikeys/token.ts'

/** A code by which the bearer of an API key's token is signed in to the console, once, for so long; the one before ends.
 *  It is in this answer and nowhere else. */
export async function makeSignInCode(
  ctx: Context,
  { token, milliseconds }: { readonly token: string; readonly milliseconds: number },
): Promise<string> {
  const code = `gsmc_${ctx.random(32).toString('base64url')}`
  const keyHash = bytes(tokenHash(token))
  const expiresAt = new Date(ctx.now().getTime() + milliseconds)
  const held = { hash: bytes(tokenHash(code)), expiresAt }
  await ctx.db.transaction((tx) =>
    tx.signInCode.upsert({ where: { keyHash }, create: { keyHash, ...held }, update: held }),
  )
  return code
}

/** The hash of the token that a code stands for; the code is used up. Throws credentials-refused. */
export async function redeemCode(ctx: Context, code: string): Promise<Buffer> {
  // One statement: of two who send it at once one alone has it.
  const [found] = await ctx.db.read.$queryRaw<readonly { keyHash: Uint8Array }[]>(sql`
    delete from sign_in_code where "hash" = ${bytes(tokenHash(code))} and "expiresAt" > ${ctx.now()}
    returning "keyHash"`)
  if (found) return Buffer.from(found.keyHash)
  throw new Problem(
    'credentials-refused',
    'This link was used already, or is over: have another one printed, or sign in with an API key',
  )
}
