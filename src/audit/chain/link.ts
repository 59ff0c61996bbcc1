import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type Context, newId } from '../../core/context.ts'
import { bytes, sql, type Tx } from '../../core/database/db.ts'
import { type AuditRow, chainEntryOf } from '../find.ts'
import { type LogKey, signCheckpoint } from './checkpoint.ts'
import { entryHash, linkHash, platformChain, startOf } from './hash.ts'
import { edgeFrom, grown, merkleRoot } from './tree.ts'

const batchSize = 1000
const lockKey = 0x6173
/** How long an event may be on its way into the database, in milliseconds: a transaction lasts 20 s at most
 *  (src/core/database/db.ts). One that comes later than this has not come by the service. */
export const settling = 2 * 60_000

/** Puts every event that has no place in a chain yet into that of its tenant, in the order of their `seq`, and
 *  signs a checkpoint for each thousand. Events are linked after they were stored, so that those who store
 *  them never wait for one another. Answers how many. */
export async function linkEvents(ctx: Context): Promise<number> {
  for (let linked = 0; ; ) {
    const count = await ctx.db.transaction((tx) => linkSome(ctx, tx))
    linked += count
    if (count < batchSize) return linked
  }
}

async function linkSome(ctx: Context, tx: Tx): Promise<number> {
  await tx.$executeRaw(sql`select pg_advisory_xact_lock(${lockKey}::int, 0)`)
  const last = await tx.auditCheckpoint.findFirst({ orderBy: { size: 'desc' } })
  const rows = await unlinked(ctx, tx)
  if (rows.length === 0) return 0
  const links = await linksOf(tx, rows, last?.size ?? 0n)
  await tx.auditLink.createMany({ data: [...links] })
  const { id, key, privateKey } = await logKey(ctx, tx)
  const edge = grown(
    edgeFrom(last?.edge ?? new Uint8Array()),
    last?.size ?? 0n,
    links.map(({ hash }) => Buffer.from(hash)),
  )
  const size = (last?.size ?? 0n) + BigInt(links.length)
  const highest = rows.at(-1)?.seq ?? 0n
  await tx.auditCheckpoint.create({
    data: {
      size,
      at: ctx.now(),
      upTo: last && last.upTo > highest ? last.upTo : highest,
      edge: bytes(Buffer.concat(edge)),
      keyId: id,
      note: signCheckpoint({ origin: key.origin, size, root: merkleRoot(edge) }, key, privateKey),
    },
  })
  return rows.length
}

/** Up to what every event had a link long enough ago, nothing new can come. */
async function unlinked(ctx: Context, tx: Tx): Promise<readonly AuditRow[]> {
  const settled = await tx.auditCheckpoint.findFirst({
    where: { at: { lte: new Date(ctx.now().getTime() - settling) } },
    orderBy: { size: 'desc' },
    select: { upTo: true },
  })
  const found = await tx.$queryRaw<readonly { readonly seq: bigint }[]>(sql`
    select event."seq" from audit_event event
    where event."seq" > ${settled?.upTo ?? 0n}
      and not exists (select from audit_link link where link."seq" = event."seq")
    order by event."seq" limit ${batchSize}`)
  return tx.auditEvent.findMany({
    where: { seq: { in: found.map(({ seq }) => seq) } },
    orderBy: { seq: 'asc' },
  })
}

async function linksOf(tx: Tx, rows: readonly AuditRow[], size: bigint) {
  const chains = [...new Set(rows.map(({ tenantId }) => tenantId ?? platformChain))]
  const ends = new Map<string, { readonly position: bigint; readonly hash: Buffer }>(
    (await lastLinks(tx, chains)).map(({ chain, position, hash }) => [
      chain,
      { position, hash: Buffer.from(hash) },
    ]),
  )
  return rows.map((row, at) => {
    const chain = row.tenantId ?? platformChain
    const before = ends.get(chain)
    const position = (before?.position ?? 0n) + 1n
    const hash = linkHash(before?.hash ?? startOf(chain), entryHash(chainEntryOf(row)))
    ends.set(chain, { position, hash })
    return {
      index: size + BigInt(at),
      seq: row.seq,
      chain,
      position,
      hash: bytes(hash),
    }
  })
}

function lastLinks(tx: Tx, chains: readonly string[]) {
  return tx.$queryRaw<
    readonly { readonly chain: string; readonly position: bigint; readonly hash: Uint8Array }[]
  >(sql`
    select asked."chain"::text, last."position", last."hash"
    from unnest(${chains}::uuid[]) as asked ("chain")
    cross join lateral (
      select "position", "hash" from audit_link where audit_link."chain" = asked."chain"
      order by "position" desc limit 1
    ) as last`)
}

/** The key that signs, made at the first need. The log is called after where the service is then. */
async function logKey(
  ctx: Context,
  tx: Tx,
): Promise<{ readonly id: string; readonly key: LogKey; readonly privateKey: KeyObject }> {
  const row =
    (await tx.auditLogKey.findFirst({ orderBy: { createdAt: 'desc' } })) ?? (await makeKey(ctx, tx))
  const der = ctx.seal.open(keyBinding(row.id), Buffer.from(row.sealed))
  return {
    id: row.id,
    key: { origin: row.origin, publicKey: Buffer.from(row.publicKey) },
    privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
  }
}

function makeKey(ctx: Context, tx: Tx) {
  const now = ctx.now()
  const id = newId(now)
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const { x = '' } = publicKey.export({ format: 'jwk' })
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  return tx.auditLogKey.create({
    data: {
      id,
      origin: `${new URL(ctx.config.publicUrl).host}/audit`,
      publicKey: bytes(Buffer.from(x, 'base64url')),
      sealed: bytes(ctx.seal.seal(keyBinding(id), der)),
      createdAt: now,
    },
  })
}

function keyBinding(id: string): string {
  return `audit_log_key/${id}`
}
