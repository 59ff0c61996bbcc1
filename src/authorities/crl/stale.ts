import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { authorityList, type ListKey, refreshAfter, wholeList } from './urls.ts'

/** Marks the lists of a key stale when a certificate on `shard` was revoked, that of an authority if
 *  `authority`, and makes their publishing due. The cost does not depend on how many certificates are
 *  revoked. */
export async function markListsStale(
  tx: Tx,
  { keyId, shard }: ListKey,
  { authority = false }: { readonly authority?: boolean } = {},
): Promise<void> {
  const shards = [...(authority ? [authorityList] : []), wholeList, shard]
  // Always in this order, so that two revocations cannot deadlock.
  await tx.$executeRaw(sql`
    insert into revocation_list ("keyId", "shard", "revision")
    select ${keyId}::uuid, shard, 1 from unnest(${shards}::int[]) with ordinality as each (shard, place)
    order by place
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
