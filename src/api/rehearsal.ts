import Type from 'typebox'
import { type Context, rehearsing } from '../core/context.ts'
import { closed } from '../shared/schema.ts'

export const dryRun = {
  dryRun: Type.Optional(
    Type.Boolean({
      description: 'The same checks and the same answer, and nothing is written (false)',
    }),
  ),
} as const

/** The query of a write that can be rehearsed. */
export const DryRun = closed(dryRun)

/** What a write is done with: as it is, or to be rolled back where the request says `dryRun`. */
export function writing(
  ctx: Context,
  { query }: { readonly query: { readonly dryRun?: boolean } },
): Context {
  return query.dryRun === true ? rehearsing(ctx) : ctx
}
