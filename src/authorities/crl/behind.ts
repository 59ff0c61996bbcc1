import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import type { ListKey } from './publish.ts'
import { refreshAfter, wholeList } from './urls.ts'

/** Tells that a certificate on `shard` of the key was revoked: its lists are behind from here on, and
 *  their publishing is due. What this costs does not depend on how many are revoked. */
export async function fallBehind(tx: Tx, { keyId, shard }: ListKey): Promise<void> {
  // In this order for all, so that nobody waits in a circle.
  await tx.$executeRaw(sql`
    insert into revocation_list ("keyId", "shard", "revision")
    values (${keyId}::uuid, ${wholeList}::int, 1), (${keyId}::uuid, ${shard}::int, 1)
    on conflict ("keyId", "shard") do update set "revision" = revocation_list."revision" + 1`)
  await due(tx, 'authority.publish', { keyId })
}

/** Makes publishing due for every key with a list that is a day old, or behind: the net below the jobs
 *  that revocations leave. Answers how many. */
export async function refreshLists(ctx: Context): Promise<number> {
  const stale = new Date(ctx.now().getTime() - refreshAfter)
  const keys = await ctx.db.read.$queryRaw<readonly { keyId: string }[]>(sql`
    select distinct "keyId"::text as "keyId" from revocation_list
    where coalesce("shown" < "revision", "revision" > 0) or "thisUpdate" <= ${stale}::timestamptz`)
  for (const { keyId } of keys) {
    await ctx.db.transaction((tx) => due(tx, 'authority.publish', { keyId }))
  }
  return keys.length
}
