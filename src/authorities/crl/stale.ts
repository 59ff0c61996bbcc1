import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import type { ListKey } from './publish.ts'
import { refreshAfter, wholeList } from './urls.ts'

/** Marks the lists of a key stale when a certificate on `shard` was revoked, and makes their publishing
 *  due. The cost does not depend on how many certificates are revoked. */
export async function markListsStale(tx: Tx, { keyId, shard }: ListKey): Promise<void> {
  // Always in this order, so that two revocations cannot deadlock.
  await tx.$executeRaw(sql`
    insert into revocation_list ("keyId", "shard", "revision")
    values (${keyId}::uuid, ${wholeList}::int, 1), (${keyId}::uuid, ${shard}::int, 1)
    on conflict ("keyId", "shard") do update set "revision" = revocation_list."revision" + 1`)
  await due(tx, 'authority.publish', { keyId })
}

/** Makes publishing due for every key that has a stale list or one that is a day old. It catches what
 *  the jobs of revocations missed. Answers how many keys. */
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
