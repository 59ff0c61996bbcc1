import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem } from '../../shared/problem.ts'
import { authorityUnknown } from '../authority.ts'
import { nothingPublished } from '../published.ts'
import { publishList } from './publish.ts'
import { keyLabel, type ListKey, mostShards, wholeList } from './urls.ts'

/** A list as it is published: the same from every replica. */
export type PublishedList = {
  readonly number: bigint
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  readonly der: Buffer
}

/** Everything that the current key of an authority has revoked: a list without distribution point.
 *  Public. Throws authority-unknown, authority-keyless. */
export async function getWholeList(ctx: Context, authority: string): Promise<PublishedList> {
  const issuer = await ctx.db.read.issuer.findFirst({
    where: { authority: { name: authority, removedAt: null }, issues: true },
    select: { keyId: true },
  })
  if (!issuer) throw await nothingPublished(ctx.db.read, authority)
  return findList(ctx, { keyId: issuer.keyId, shard: wholeList })
}

/** The list that certificates of a key name as their distribution point. Public. Throws
 *  authority-unknown, list-unknown, authority-keyless. */
export async function getShard(
  ctx: Context,
  request: { readonly authority: string; readonly key: string; readonly shard: number },
): Promise<PublishedList> {
  const authority = await ctx.db.read.authority.findUnique({
    where: { name: request.authority },
    select: {
      crlShards: true,
      tenantId: true,
      issuers: { select: { keyId: true, key: { select: { spkiSha256: true } } } },
    },
  })
  if (!authority) {
    throw authorityUnknown(request.authority)
  }
  const issuer = authority.issuers.find(({ key }) => keyLabel(key.spkiSha256) === request.key)
  const named = request.shard <= authority.crlShards || (await isOfTenant(ctx, request, authority))
  if (!issuer || !named) {
    throw new Problem('list-unknown', `No certificate of "${request.authority}" names this list`)
  }
  return findList(ctx, { keyId: issuer.keyId, shard: request.shard })
}

/** Whether it is the list of a tenant that may be issued to. */
async function isOfTenant(
  { db }: Context,
  { shard }: { readonly shard: number },
  { tenantId }: { readonly tenantId: string | null },
): Promise<boolean> {
  if (shard <= mostShards) return false
  const select = { id: true }
  const found = await db.read.tenant.findUnique({ where: { crlShard: shard }, select })
  return found !== null && (tenantId === null || tenantId === found.id)
}

/** The last of a list that a Secret had room for, where the published one has outgrown it; undefined: none
 *  that holds. */
export async function earlierList(
  ctx: Context,
  list: ListKey,
): Promise<Pick<PublishedList, 'nextUpdate' | 'der'> | undefined> {
  const row = await ctx.db.read.revocationList.findUnique({
    where: { keyId_shard: list, fittedUntil: { gt: ctx.now() } },
    select: { fitted: true, fittedUntil: true },
  })
  if (!row || row.fitted === null || row.fittedUntil === null) return undefined
  const der = await bytesOf(ctx, { ...list, number: row.fitted }, 'earlier')
  return der && { nextUpdate: row.fittedUntil, der }
}

/** The published list; built now if there is none that holds. */
export async function findList(ctx: Context, list: ListKey): Promise<PublishedList> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const found = await readList(ctx, list)
    if (found && found.nextUpdate > ctx.now()) return found
    await build(ctx, list)
  }
  throw new Error(`the list ${list.keyId}/${list.shard} is replaced faster than it is read`)
}

type Kept = { readonly number: bigint; readonly der: Buffer }

/** The bytes of the list last read, by list: its number says whether they are still the ones. */
const kept = oncePer(() => new Map<string, Kept>())

/** The published list, whether it holds or not. */
export async function readList(ctx: Context, list: ListKey): Promise<PublishedList | undefined> {
  const row = await ctx.db.read.revocationList.findUnique({
    where: { keyId_shard: list },
    select: { number: true, thisUpdate: true, nextUpdate: true },
  })
  if (!row || row.number === null || !row.thisUpdate || !row.nextUpdate) return undefined
  const { number, thisUpdate, nextUpdate } = row
  const der = await bytesOf(ctx, { ...list, number })
  return der && { number, thisUpdate, nextUpdate, der }
}

/** Undefined when the list has been replaced since its number was read. */
async function bytesOf(
  ctx: Context,
  wanted: ListKey & { number: bigint },
  of: 'published' | 'earlier' = 'published',
) {
  const name = `${wanted.keyId}/${wanted.shard}/${of}`
  const known = kept(ctx).get(name)
  if (known?.number === wanted.number) return known.der
  const { keyId, shard, number } = wanted
  // Raw, since a model's read would decode megabytes on the event loop.
  const [row] = await ctx.db.read.$queryRaw<readonly { der: Uint8Array }[]>(sql`
    select "der" from signed_list
    where "keyId" = ${keyId}::uuid and "shard" = ${shard}::int and "number" = ${number}::bigint`)
  if (!row) return undefined
  const der = Buffer.from(row.der)
  kept(ctx).set(name, { number, der })
  return der
}

const building = oncePer(() => new Map<string, Promise<void>>())

/** Those who ask for a list that is being built wait for it together. */
function build(ctx: Context, list: ListKey): Promise<void> {
  const name = `${list.keyId}/${list.shard}`
  const begun = building(ctx).get(name)
  if (begun) return begun
  const work = publishList(ctx, list).finally(() => building(ctx).delete(name))
  building(ctx).set(name, work)
  return work
}
