import Type from 'typebox'
import { type Context, rehearsing } from '../core/context.ts'
import { closed } from '../shared/schema.ts'
import { isRecord } from '../shared/shape.ts'

export const dryRun = {
  dryRun: Type.Optional(
    Type.Boolean({
      description: 'The same checks and the same answer, and nothing is written (false)',
    }),
  ),
} as const

/** The query of a write that can be rehearsed. */
export const DryRun = closed(dryRun)

/** Whether a request, whose query has been read, asks for a rehearsal. */
export function isRehearsal({ query }: { readonly query: unknown }): boolean {
  return isRecord(query) && query.dryRun === true
}

/** What a write is done with: as it is, or to be rolled back where the request says `dryRun`. */
export function writing(
  ctx: Context,
  request: { readonly query: { readonly dryRun?: boolean } },
): Context {
  return isRehearsal(request) ? rehearsing(ctx) : ctx
}
