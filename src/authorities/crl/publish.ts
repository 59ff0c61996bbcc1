import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import {
  issuerKeyIdentifier,
  type ParsedCertificate,
  readCertificate,
  signsLists,
} from '../../x509/certificates/read.ts'
import { crlFaults } from '../../x509/crl/faults.ts'
import { buildCrl, type CrlHeader, crlSignedBy, readCrl } from '../../x509/crl/list.ts'
import { assemble } from '../../x509/keys/sign.ts'
import { openSigner } from '../keys/signer.ts'
import { dueWhereTrusted, type ListingAuthority } from '../trust/lists.ts'
import { raise, say } from './alarm.ts'
import { listEntries } from './entries.ts'
import { alarmOf } from './room.ts'
import {
  authorityList,
  type ListKey,
  listedSince,
  listLifetime,
  refreshAfter,
  shardUrl,
  wholeList,
} from './urls.ts'

/** Publishes every list of the key that is behind its revocations or a day old, those of tenants, which
 *  gateways wait for, first; none of a key that may not sign lists. Throws authority-keyless. */
export async function publishLists(ctx: Context, keyId: string): Promise<void> {
  const issuer = await issuerOf(ctx, keyId)
  const { authority } = issuer
  if (!signsLists(issuer.certificate)) {
    return ctx.db.transaction(async (tx) => {
      await tx.revocationList.deleteMany({ where: { keyId } })
      // Their status is to say that they cannot be told.
      const list = { keyId, shard: authorityList }
      await dueWhereTrusted(tx, list, { authority, now: ctx.now() })
    })
  }
  const stale = new Date(ctx.now().getTime() - refreshAfter)
  const lists = await ctx.db.read.$queryRaw<readonly { shard: number }[]>(sql`
    select "shard" from revocation_list where "keyId" = ${keyId}::uuid
      and ("shown" is null or "shown" < "revision" or "thisUpdate" <= ${stale}::timestamptz)
    order by "shard" desc`)
  for (const { shard } of lists) await publish(ctx, issuer, { keyId, shard })
}

/** Builds, signs, checks and publishes a list. Of several who do so at once, the one with the highest
 *  number stands; whoever loses has shown nothing that is not on it. Throws authority-keyless, and
 *  list-unknown for an authority that may not sign lists: nobody would take them. */
export async function publishList(ctx: Context, list: ListKey): Promise<void> {
  const issuer = await issuerOf(ctx, list.keyId)
  if (!signsLists(issuer.certificate)) throw noList(issuer.authority.name)
  await publish(ctx, issuer, list)
}

/** A gateway waits for each of these statements: see docs/operating.md on how soon a client is refused. */
async function publish(ctx: Context, issuer: Issuer, list: ListKey): Promise<void> {
  const { authority } = issuer
  // 1. A number, and how far the revocations go that any read from here on will see.
  const turn = await takeTurn(ctx, list)
  // 2. The list.
  const header = headerOf(ctx, { list, issuer, turn })
  const since = listedSince(turn.thisUpdate ?? undefined)
  const tbs = await buildCrl(header, listEntries(ctx, { ...list, since, at: header.thisUpdate }))
  const signer = await openSigner(ctx, list.keyId)
  const der = assemble(tbs, signer.algorithm, await signer.sign(tbs))
  // 3. What is published has been read as a relying party would.
  const entries = await check(der, { header, issuer, published: turn.number })
  await keep(ctx, { ...list, number: turn.reserved, der })
  // 4. Published, unless a later one is there.
  const size = { entries, octets: der.length }
  const alarm = await ctx.db.transaction(async (tx) => {
    const before = await replace(tx, { list, header, turn, size })
    if (!before) return undefined
    // A gateway that asks for the first list of authorities is the one that waits for it.
    const first = list.shard === authorityList && turn.number === null
    const holders = first ? 0 : await dueWhereTrusted(tx, list, { authority, now: ctx.now() })
    return raise(tx, ctx.now(), { list, size, before, held: holders > 0 })
  })
  if (alarm) say(ctx, alarm)
}

type Issuer = {
  readonly authority: ListingAuthority
  readonly spkiSha256: string
  readonly certificate: ParsedCertificate
}

/** Any certificate of the key: they all bear the same subject, since a list is of one name and key. */
async function issuerOf(ctx: Context, keyId: string): Promise<Issuer> {
  const row = await ctx.db.read.issuer.findFirstOrThrow({
    where: { keyId },
    orderBy: { notAfter: 'desc' },
    select: {
      der: true,
      authority: { select: { id: true, name: true, tenantId: true } },
      key: { select: { spkiSha256: true } },
    },
  })
  return {
    authority: row.authority,
    spkiSha256: row.key.spkiSha256,
    certificate: readCertificate(Buffer.from(row.der)),
  }
}

function noList(authority: string): Problem {
  return new Problem(
    'list-unknown',
    `The certificate of "${authority}" does not allow it to sign revocation lists (keyUsage without cRLSign), so there are none; OCSP tells who is revoked`,
  )
}

type Turn = {
  readonly reserved: bigint
  readonly revision: bigint
  readonly number: bigint | null
  readonly thisUpdate: Date | null
}

/** RFC 5280 5.2.3: strictly upwards, under the row's lock, so across replicas; above the last one even
 *  when the clock has gone back. The lock also waits for revocations that are being committed. */
async function takeTurn(ctx: Context, { keyId, shard }: ListKey): Promise<Turn> {
  const [turn] = await ctx.db.read.$queryRaw<readonly Turn[]>(sql`
    insert into revocation_list ("keyId", "shard", "reserved")
    values (${keyId}::uuid, ${shard}::int, ${ctx.now().getTime()}::bigint)
    on conflict ("keyId", "shard") do update
      set "reserved" = greatest(revocation_list."reserved" + 1, excluded."reserved")
    returning "reserved", "revision", "number", "thisUpdate"`)
  if (!turn) throw new Error(`the list ${keyId}/${shard} gives no number`)
  return turn
}

function headerOf(
  ctx: Context,
  { list, issuer, turn }: { list: ListKey; issuer: Issuer; turn: Turn },
): CrlHeader {
  const { authority, spkiSha256, certificate } = issuer
  const now = Math.max(ctx.now().getTime(), turn.thisUpdate?.getTime() ?? 0)
  const thisUpdate = new Date(Math.floor(now / 1000) * 1000)
  if (certificate.keyAlgorithm === undefined) throw new Error('the key is none that signs')
  return {
    issuer: certificate.subjectDer,
    authorityKeyIdentifier: issuerKeyIdentifier(certificate),
    signerAlgorithm: certificate.keyAlgorithm,
    number: turn.reserved,
    thisUpdate,
    nextUpdate: new Date(thisUpdate.getTime() + listLifetime),
    ...scopeOf(list, (shard) =>
      shardUrl(ctx.config.publicUrl, { authority: authority.name, spkiSha256, shard }),
    ),
  }
}

function scopeOf({ shard }: ListKey, urlOf: (shard: number) => string) {
  if (shard === wholeList) return {}
  return shard === authorityList ? { only: 'authorities' as const } : { url: urlOf(shard) }
}

/** A list that is wrong stays here: the one before it still holds. Answers how many entries it has. */
async function check(
  der: Buffer,
  { header, issuer, published }: { header: CrlHeader; issuer: Issuer; published: bigint | null },
): Promise<number> {
  const crl = await readCrl(der)
  const faults = await crlFaults(crl, {
    issuerDer: issuer.certificate.subjectDer,
    urls: header.url === undefined ? [] : [header.url],
    ...(header.only === undefined ? {} : { only: header.only }),
    ...(published === null ? {} : { number: published }),
  })
  if (!crlSignedBy(crl, issuer.certificate.spki)) faults.push('The signature is not by this key')
  if (faults.length > 0) throw new Error(`a revocation list is wrong: ${faults.join('. ')}`)
  return crl.entries.length
}

/** Past Prisma, which would encode megabytes on the event loop. */
async function keep(
  ctx: Context,
  { keyId, shard, number, der }: ListKey & { number: bigint; der: Buffer },
): Promise<void> {
  await ctx.db.statement(
    `insert into signed_list ("keyId", "shard", "number", "der")
    values ($1::uuid, $2::int, $3::bigint, $4::bytea)`,
    [keyId, shard, number, der],
  )
}

type Before = {
  readonly number: bigint | null
  readonly octets: number | null
  readonly nextUpdate: Date | null
  readonly fitted: bigint | null
  readonly fittedUntil: Date | null
  readonly alarm: string | null
}

/** Answers the row as it was, or undefined when a later list is there. */
async function replace(
  tx: Tx,
  {
    list,
    header,
    turn,
    size,
  }: { list: ListKey; header: CrlHeader; turn: Turn; size: { entries: number; octets: number } },
): Promise<Before | undefined> {
  const { thisUpdate, nextUpdate } = header
  const { reserved: number, revision: shown } = turn
  const [before] = await tx.$queryRaw<readonly Before[]>(sql`
    select "number", "octets", "nextUpdate", "fitted", "fittedUntil", "alarm" from revocation_list
    where "keyId" = ${list.keyId}::uuid and "shard" = ${list.shard}::int for update`)
  if (!before || (before.number !== null && before.number >= number)) {
    await tx.signedList.deleteMany({ where: { ...list, number } })
    return undefined
  }
  const { fitted, fittedUntil } = fittedAfter(before, size.octets)
  // Besides, those before are useless, and what builders left that came to no end.
  await tx.$executeRaw(sql`
    with useless as (
      delete from signed_list where "keyId" = ${list.keyId}::uuid and "shard" = ${list.shard}::int
        and "number" < ${number}::bigint and "number" is distinct from ${fitted}::bigint
    )
    update revocation_list set "number" = ${number}::bigint, "shown" = ${shown}::bigint,
      "thisUpdate" = ${thisUpdate}::timestamptz, "nextUpdate" = ${nextUpdate}::timestamptz,
      "entries" = ${size.entries}::int, "octets" = ${size.octets}::int,
      "fitted" = ${fitted}::bigint, "fittedUntil" = ${fittedUntil}::timestamptz
    where "keyId" = ${list.keyId}::uuid and "shard" = ${list.shard}::int`)
  return before
}

/** The last list that a Secret has room for, where the new one is longer. */
function fittedAfter(before: Before, octets: number): Pick<Before, 'fitted' | 'fittedUntil'> {
  if (alarmOf(octets) !== 'over') return { fitted: null, fittedUntil: null }
  const { number, nextUpdate, fitted, fittedUntil } = before
  const lastFits = number !== null && before.octets !== null && alarmOf(before.octets) !== 'over'
  return lastFits ? { fitted: number, fittedUntil: nextUpdate } : { fitted, fittedUntil }
}
