import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { oneOf } from '../../shared/oneof.ts'
import { encodeEntry } from '../../x509/crl/entry.ts'
import { settableReasons } from '../../x509/crl/reasons.ts'
import { authorityList, authorityShard, highestShard, wholeList } from './urls.ts'

/** Which entries: those of a key on one of its lists. */
export type Entries = {
  readonly keyId: string
  readonly shard: number
  /** Certificates that ended before are left out. */
  readonly since: Date | undefined
  /** The list's thisUpdate: none may be revoked later, whatever another replica's clock said. */
  readonly at: Date
}

const pageSize = 1000

/** The encoded entries of a list, those of authorities first, then in the order of their serials, read
 *  page by page, so that a long list neither blocks the event loop nor is held as rows. */
export async function* listEntries(ctx: Context, entries: Entries): AsyncGenerator<Buffer> {
  const issuers = await ctx.db.read.issuer.findMany({
    where: { keyId: entries.keyId },
    select: { id: true },
    orderBy: { id: 'asc' },
  })
  yield* authorityEntries(ctx, entries)
  if (entries.shard === authorityList) return
  for (const { id } of issuers) yield* issuerEntries(ctx, id, entries)
}

/** Certificates of authorities below: few, all on the first shard (../issuers/parent.ts). */
async function* authorityEntries(
  ctx: Context,
  { keyId, shard, since, at }: Entries,
): AsyncGenerator<Buffer> {
  if (![wholeList, authorityShard, authorityList].includes(shard)) return
  const rows = await ctx.db.read.issuer.findMany({
    where: {
      parent: { keyId },
      revokedAt: { not: null },
      ...(since && { notAfter: { gte: since } }),
    },
    select: { serial: true, revokedAt: true, revocationReason: true },
    orderBy: { serial: 'asc' },
  })
  for (const { serial, revokedAt, revocationReason } of rows) {
    if (revokedAt === null) continue
    yield encodeEntry({
      serial,
      revokedAt: revokedAt < at ? revokedAt : at,
      reason: oneOf(settableReasons, revocationReason ?? 'unspecified'),
    })
  }
}

type Row = {
  readonly crlShard: number
  readonly serial: string
  readonly seconds: number
  readonly reason: string
}

async function* issuerEntries(
  ctx: Context,
  issuerId: string,
  entries: Entries,
): AsyncGenerator<Buffer> {
  const { shard } = entries
  let after = { crlShard: shard === wholeList ? 1 : shard, serial: '' }
  for (;;) {
    const rows = await page(ctx, issuerId, { ...entries, after })
    for (const { serial, seconds, reason } of rows) {
      const revokedAt = new Date(seconds * 1000)
      yield encodeEntry({ serial, revokedAt, reason: oneOf(settableReasons, reason) })
    }
    const last = rows.at(-1)
    if (rows.length < pageSize || !last) return
    after = last
  }
}

function page(
  ctx: Context,
  issuerId: string,
  { shard, since, at, after }: Entries & { after: { crlShard: number; serial: string } },
): Promise<readonly Row[]> {
  const last = shard === wholeList ? highestShard : shard
  return ctx.db.read.$queryRaw<readonly Row[]>(sql`
    select "crlShard", "serial", "revocationReason" as reason,
      extract(epoch from least("revokedAt", ${at}::timestamptz))::float8 as seconds
    from certificate
    where "revokedAt" is not null and "issuerId" = ${issuerId}::uuid
      and ("crlShard", "serial") > (${after.crlShard}::int, ${after.serial})
      and "crlShard" <= ${last}::int
      and "notAfter" >= coalesce(${since ?? null}::timestamptz, '-infinity')
    order by "crlShard", "serial" limit ${pageSize}::int`)
}
