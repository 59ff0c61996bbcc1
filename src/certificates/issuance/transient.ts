import type { Context } from '../../core/context.ts'
import { type Due, due } from '../../core/database/due.ts'
import { Problem } from '../../shared/problem.ts'

/** Whether a refusal is about this moment and says nothing of what was asked for. */
export function isTransient({ type }: Problem): boolean {
  return type === 'unavailable' || type === 'busy'
}

/** How long a job that found no room stays away. */
const pauseMilliseconds = 2_000

/** Does the work of a job; when it finds no room, the job is due again a little later, which counts as
 *  no failure: a hundred RSA keys of one tenant are made one after the other, while the slots of the
 *  worker are for others. */
export async function laterWhenBusy<Kind extends keyof Due>(
  ctx: Context,
  { kind, key }: { readonly kind: Kind; readonly key: Due[Kind] },
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Problem) || error.type !== 'busy') throw error
    const at = new Date(ctx.now().getTime() + pauseMilliseconds)
    await ctx.db.transaction((tx) => due(tx, kind, key, at))
  }
}
