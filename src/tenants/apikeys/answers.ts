import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { day } from '../../shared/moment.ts'

// The answers that are kept for retries (src/api/idempotency.ts): they may show what is shown only once.

/** How long the first answer to an Idempotency-Key is given again. */
const memory = day

/** Forgets the answers that show one of these API keys, or that were given to one. */
export async function forgetAnswers(tx: Tx, apiKeyIds: readonly string[]): Promise<void> {
  const ids = { in: [...apiKeyIds] }
  await tx.idempotencyKey.deleteMany({ where: { OR: [{ scope: ids }, { about: ids }] } })
}

/** Forgets the answers that show this API key: the token in them is not its newest any more. What it asked for itself
 *  is kept, so that its retries do nothing twice. */
export async function forgetShown(tx: Tx, apiKeyId: string): Promise<void> {
  await tx.idempotencyKey.deleteMany({ where: { about: apiKeyId } })
}

/** Forgets the answers that are older than a day; answers how many. */
export async function forgetOldAnswers(ctx: Context): Promise<number> {
  const { count } = await ctx.db.read.idempotencyKey.deleteMany({
    where: { createdAt: { lt: new Date(ctx.now().getTime() - memory) } },
  })
  return count
}
