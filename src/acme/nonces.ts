import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { oncePer } from '../core/onceper.ts'
import { hour } from '../shared/moment.ts'

// A nonce says when it was made, and by whom: it bears a MAC of the key that all replicas have, so that any of them
// knows it, and one that is asked for and never used leaves nothing behind. That it is used once is kept in the database,
// for as long as it would be taken.

/** How long a nonce is good. */
const lifetime = hour

const macKey = oncePer(({ config }) => {
  return Buffer.from(hkdfSync('sha256', config.sealingKey, '', 'gatesmith acme nonce', 32))
})

/** A nonce for the next request (RFC 8555 6.5): six octets of time, ten of a CSPRNG, sixteen of HMAC-SHA256. */
export function newNonce(ctx: Context): string {
  const made = Buffer.alloc(16)
  made.writeUIntBE(ctx.now().getTime(), 0, 6)
  ctx.random(10).copy(made, 6)
  return Buffer.concat([made, macOf(ctx, made)]).toString('base64url')
}

function macOf(ctx: Context, made: Buffer): Buffer {
  return createHmac('sha256', macKey(ctx)).update(made).digest().subarray(0, 16)
}

/** Whether it was made here, by whichever replica, and not too long ago; the database is not asked. */
export function isOurNonce(ctx: Context, nonce: string): boolean {
  const octets = Buffer.from(nonce, 'base64url')
  if (octets.length !== 32 || octets.toString('base64url') !== nonce) return false
  const made = octets.subarray(0, 16)
  if (!timingSafeEqual(octets.subarray(16), macOf(ctx, made))) return false
  const age = ctx.now().getTime() - made.readUIntBE(0, 6)
  // The clock of another replica may be ahead.
  return age < lifetime && age > -5 * 60_000
}

/** Uses it up; false for one that was used before. */
export async function takeNonce(ctx: Context, nonce: string): Promise<boolean> {
  const taken = await ctx.db.statement(
    'insert into acme_nonce ("nonce", "usedAt") values ($1, $2) on conflict do nothing returning 1',
    [nonce, ctx.now()],
  )
  return taken.length > 0
}

/** Forgets those that are too old to be taken anyway. */
export async function forgetNonces(ctx: Context): Promise<void> {
  const before = new Date(ctx.now().getTime() - 2 * lifetime)
  await ctx.db.read.$executeRaw(sql`delete from acme_nonce where "usedAt" < ${before}`)
}
