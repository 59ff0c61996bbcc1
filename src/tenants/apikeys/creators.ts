import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { inForce } from '../quotas/usage.ts'

/** Whose credentials these are, as far as is known: themselves, who made them or was given a token of theirs by rotating
 *  them, who made these, and so on. Of what the command line made nobody is known. */
export async function peopleBehind(tx: Tx, id: string): Promise<readonly string[]> {
  const rows = await tx.$queryRaw<readonly { id: string }[]>(sql`
    with recursive line (id) as (
      select ${id}::uuid
      union
      select person.id from line cross join lateral (
        select "creatorId" as id from api_key where "id" = line.id and "creatorId" is not null
        union all
        select "actorId"::uuid from audit_event
        where "subjectKind" = 'api-key' and "subjectId" = line.id::text
          and "action" = 'api-key.rotated' and "actorKind" <> 'system'
      ) as person
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
