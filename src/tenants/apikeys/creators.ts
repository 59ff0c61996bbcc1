import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { inForce } from '../quotas/usage.ts'

/** Whose credentials these are, as far as is known: themselves, who made them, who made these, and so on. Of what the
 *  command line made nobody is known. */
export async function peopleBehind(tx: Tx, id: string): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<readonly { id: string }[]>(sql`
    with recursive line (id) as (
      select ${id}::uuid
      union
      select api_key."creatorId" from line join api_key on api_key."id" = line.id
      where api_key."creatorId" is not null
    )
    select id::text from line`)
  return rows.map((row) => row.id)
}

/** Whether credentials still open something, as far as that is decided here: those of an identity provider do. */
export async function isInForce(
  ctx: Context,
  { kind, id }: { readonly kind: string; readonly id: string },
): Promise<boolean> {
  if (kind !== 'api-key') return true
  const where = { id, ...inForce(ctx.now()) }
  return (await ctx.db.read.apiKey.count({ where })) > 0
}
