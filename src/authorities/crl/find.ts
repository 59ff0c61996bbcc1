import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { oncePerContext } from '../../core/oncepercontext.ts'
import { Problem } from '../../shared/problem.ts'
import { authorityUnknown } from '../authority.ts'
import { clientsRevoked } from '../trust/lists.ts'
import { type ListKey, publishList } from './publish.ts'
import { keyLabel, wholeList } from './urls.ts'

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
  if (!issuer) throw authorityUnknown(authority)
  return findList(ctx, { keyId: issuer.keyId, shard: wholeList })
}

/** The list that certificates of a key name as their distribution point. Public. Throws
 *  authority-unknown, list-unknown, authority-keyless. */
export async function getShard(
  ctx: Context,
  asked: { readonly authority: string; readonly key: string; readonly shard: number },
): Promise<PublishedList> {
  const authority = await ctx.db.read.authority.findUnique({
    where: { name: asked.authority },
    select: {
      crlShards: true,
      issuers: { select: { keyId: true, key: { select: { spkiSha256: true } } } },
    },
  })
  if (!authority) {
    throw authorityUnknown(asked.authority)
  }
  const issuer = authority.issuers.find(({ key }) => keyLabel(key.spkiSha256) === asked.key)
  if (!issuer || asked.shard > authority.crlShards) {
    throw new Problem('list-unknown', `No certificate of "${asked.authority}" names this list`)
  }
  return findList(ctx, { keyId: issuer.keyId, shard: asked.shard })
}

/** What hosts are given that let in clients of this authority (`ca.crl`), in DER: the whole list of each
 *  of its keys, as each is in a trust anchor, and a verifier that is given any list wants one for every
 *  CA of a chain. None as long as no client is revoked. Throws authority-unknown. */
export async function trustCrlsOf(ctx: Context, name: string): Promise<readonly Buffer[]> {
  const authority = await ctx.db.read.authority.findUnique({
    where: { name },
    select: {
      id: true,
      issuers: { where: { trusted: true }, select: { keyId: true }, orderBy: { createdAt: 'asc' } },
    },
  })
  if (!authority) throw authorityUnknown(name)
  if (!(await clientsRevoked(ctx.db.read, authority.id, ctx.now()))) return []
  const keys = [...new Set(authority.issuers.map(({ keyId }) => keyId))]
  const lists: Buffer[] = []
  for (const keyId of keys) lists.push((await findList(ctx, { keyId, shard: wholeList })).der)
  return lists
}

/** The published list; built now if there is none that holds. */
async function findList(ctx: Context, list: ListKey): Promise<PublishedList> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const found = await readList(ctx, list)
    if (found && found.nextUpdate > ctx.now()) return found
    await build(ctx, list)
  }
  throw new Error(`the list ${list.keyId}/${list.shard} is replaced faster than it is read`)
}

type Kept = { readonly number: bigint; readonly der: Buffer }

/** The bytes of the list last read, by list: its number says whether they are still the ones. */
const kept = oncePerContext(() => new Map<string, Kept>())

async function readList(ctx: Context, list: ListKey): Promise<PublishedList | undefined> {
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
async function bytesOf(ctx: Context, wanted: ListKey & { number: bigint }) {
  const name = `${wanted.keyId}/${wanted.shard}`
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

const building = oncePerContext(() => new Map<string, Promise<void>>())

/** Those who ask for a list that is being built wait for it together. */
function build(ctx: Context, list: ListKey): Promise<void> {
  const name = `${list.keyId}/${list.shard}`
  const begun = building(ctx).get(name)
  if (begun) return begun
  const work = publishList(ctx, list).finally(() => building(ctx).delete(name))
  building(ctx).set(name, work)
  return work
}
