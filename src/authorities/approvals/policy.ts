import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'

export type Held = { readonly name: string; readonly approval: string }

/** Contexts in which what is done was approved. */
const approved = new WeakSet<Context>()

/** Throws approval-needed where two people decide about the key of an authority, by its own rule or that of the
 *  settings, unless that was decided. */
export function needTwo(ctx: Context, { name, approval }: Held): void {
  if (approved.has(ctx)) return
  if (ctx.config.approval !== 'two-people' && approval !== 'two-people') return
  throw new Problem(
    'approval-needed',
    `Two people decide about the key of "${name}": ask for it by POST /v1/authorities/${name}/approvals, and have another person approve it`,
  )
}

/** Does what was approved, and answers what `settle` does. That is a part of its transaction, or has one of its own
 *  where nothing was to be changed: what is approved is carried out once, or not at all and may be approved again. */
export async function doApproved<T>(
  ctx: Context,
  settle: (tx: Tx) => Promise<T>,
  work: (ctx: Context) => Promise<unknown>,
): Promise<T> {
  let settled: { readonly answer: T } | undefined
  const within: Context = {
    ...ctx,
    db: {
      ...ctx.db,
      transaction: async (inner) => {
        const { answer, done } = await ctx.db.transaction(async (tx) => ({
          answer: await settle(tx),
          done: await inner(tx),
        }))
        settled = { answer }
        return done
      },
    },
  }
  approved.add(within)
  await work(within)
  return settled ? settled.answer : ctx.db.transaction(settle)
}
