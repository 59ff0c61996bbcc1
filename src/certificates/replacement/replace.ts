import Value from 'typebox/value'
import { record } from '../../audit/record.ts'
import { issuingAuthority } from '../../authorities/issuers/current.ts'
import { type Actor, allow, systemActor } from '../../core/actor.ts'
import { type Context, inTransaction, newId } from '../../core/context.ts'
import { json, sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { periodEnd } from '../../shared/lists/period.ts'
import { Problem } from '../../shared/problem.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../../shared/view.ts'
import { accessTenant } from '../../tenants/access.ts'
import { countOne } from '../../tenants/quotas/usage.ts'
import { spreadOf } from '../renewal/rules.ts'
import { revokeOne } from '../revocation/revoke.ts'
import { type NewReplacement, Replacement, type ReplacementWhere } from './schema.ts'

/** Orders that many certificates are replaced: what the service can renew itself it does, spread over
 *  `within`; who holds a key of their own is told to renew at once. A tenant's admin orders for that
 *  tenant. Throws authority-unknown, tenant-unknown, request-invalid. */
export async function orderReplacement(
  ctx: Context,
  actor: Actor,
  request: NewReplacement,
): Promise<Replacement> {
  allow(actor, 'replace-certificates')
  const { reason, where, revoke = false, within = 'PT1H', explanationUrl } = request
  const { tenantId } = actor
  if (where.authority !== undefined)
    await issuingAuthority(ctx, { name: where.authority, tenantId })
  if (where.tenant !== undefined) {
    await accessTenant(ctx, actor, { name: where.tenant, permission: 'replace-certificates' })
  }
  const now = ctx.now()
  const until = periodEnd(within, now)
  const id = newId(now)
  return ctx.db.transaction(async (tx) => {
    if (tenantId !== null) await countReplacement(tx, ctx, tenantId)
    await tx.replacement.create({
      data: {
        ...{ id, tenantId, reason, revoke, until, where: json(where) },
        explanationUrl: explanationUrl ?? null,
        orderedBy: actor.name,
        createdAt: now,
      },
    })
    await record(tx, { actor, now }, 'replacement.ordered', {
      subject: { kind: 'replacement', id, name: reason.slice(0, 100), tenantId },
      changes: { ...where, reason, revoke, until: until.toISOString() },
    })
    await due(tx, 'replacement.advance', { replacementId: id })
    return getReplacement(inTransaction(ctx, tx), actor, id)
  })
}

async function countReplacement(tx: Tx, ctx: Context, id: string): Promise<void> {
  const tenant = await tx.tenant.findUniqueOrThrow({
    where: { id },
    select: { id: true, quotas: true },
  })
  await countOne(tx, { ctx, tenant }, 'replacementsPerDay')
}

/** An order and how far it is. Throws replacement-unknown. */
export async function getReplacement(ctx: Context, actor: Actor, id: string): Promise<Replacement> {
  allow(actor, 'read')
  const row = await ctx.db.read.replacement.findFirst({
    where: { id, ...(actor.tenantId === null ? {} : { tenantId: actor.tenantId }) },
  })
  if (!row) throw new Problem('replacement-unknown', `There is no replacement ${id}`)
  const progress = await progressOf(ctx.db.read, row, ctx.now())
  return shown(Replacement, {
    id,
    reason: row.reason,
    where: shownJson(Replacement.properties.where, row.where),
    revoke: row.revoke,
    explanationUrl: row.explanationUrl,
    orderedBy: row.orderedBy,
    createdAt: timestamp(row.createdAt),
    until: timestamp(row.until),
    doneAt: timestampOrNull(row.doneAt),
    choosing: row.chosenAt === null,
    ...progress,
  })
}

type Row = NonNullable<Awaited<ReturnType<typeof readReplacement>>>

function readReplacement(tx: Tx, id: string) {
  return tx.replacement.findUnique({ where: { id } })
}

type Progress = Readonly<Record<'total' | 'done' | 'failed' | 'callers', number>>

async function progressOf(tx: Tx, { id, revoke }: Row, now: Date): Promise<Progress> {
  const [found] = await tx.$queryRaw<readonly Progress[]>(sql`
    with chosen as (
      select "keySource", "renewError",
        "status" = 'revoked' or "notAfter" < ${now}::timestamptz or (not ${revoke} and exists (
          select from certificate next
          where next."replacesId" = certificate."id" and next."status" = 'active')) as done
      from certificate where "replacementId" = ${id}::uuid
    )
    select count(*)::int as total, (count(*) filter (where done))::int as done,
      (count(*) filter (where not done and "renewError" is not null))::int as failed,
      (count(*) filter (where not done and "keySource" = 'caller'))::int as callers
    from chosen`)
  return found ?? { total: 0, done: 0, failed: 0, callers: 0 }
}

const batchSize = 500
const actor = systemActor('replacement.advance')
const minute = 60_000

/** Takes an order as far as it can go now, and looks again later. Driven by what is stored alone: run
 *  twice, late, or after a crash, it comes to the same end. */
export async function advanceReplacement(ctx: Context, id: string): Promise<void> {
  const row = await readReplacement(ctx.db.read, id)
  if (!row || row.doneAt !== null) return
  const now = ctx.now()
  if (row.chosenAt === null) return choose(ctx, row)
  if (row.revoke) await revokeReplaced(ctx, row)
  const { total, done, callers } = await progressOf(ctx.db.read, row, now)
  await ctx.db.transaction(async (tx) => {
    if (done < total) {
      const pause = total - done === callers ? 60 * minute : minute
      return due(tx, 'replacement.advance', { replacementId: id }, new Date(now.getTime() + pause))
    }
    const { count } = await tx.replacement.updateMany({
      where: { id, doneAt: null },
      data: { doneAt: now },
    })
    if (count === 0) return
    await record(tx, { actor, now }, 'replacement.done', {
      subject: { kind: 'replacement', id, name: row.reason.slice(0, 100), tenantId: row.tenantId },
      changes: { total },
    })
  })
}

/** Takes the next certificates into the order, and makes due what can be done about each. */
async function choose(ctx: Context, row: Row): Promise<void> {
  const rows = await ctx.db.read.certificate.findMany({
    where: { AND: [chosenBy(row, ctx.now()), row.chosenTo ? { id: { gt: row.chosenTo } } : {}] },
    select: { id: true, serial: true, keySource: true, servedBy: { select: { id: true } } },
    orderBy: { id: 'asc' },
    take: batchSize,
  })
  const begin = row.createdAt.getTime()
  const plan = rows.map(({ id, serial }) => ({
    id,
    renewAt: new Date(begin + spreadOf(serial) * (row.until.getTime() - begin)),
  }))
  const last = rows.length < batchSize
  await ctx.db.transaction(async (tx) => {
    await tx.$executeRaw(sql`
      update certificate set "replacementId" = ${row.id}::uuid, "renewAt" = item."renewAt",
        "renewFailures" = 0, "renewAfter" = null, "renewError" = null
      from jsonb_to_recordset(${JSON.stringify(plan)}::jsonb)
        as item ("id" uuid, "renewAt" timestamptz)
      where certificate."id" = item."id"`)
    for (const [index, { id, keySource, servedBy }] of rows.entries()) {
      const at = plan[index]?.renewAt ?? null
      // Those of hosts are found when their time has come (renewalsDue).
      const own = keySource === 'server' && servedBy.length === 0
      if (own) await due(tx, 'certificate.renew', { certificateId: id }, at)
    }
    await tx.replacement.update({
      where: { id: row.id },
      data: {
        chosenTo: rows.at(-1)?.id ?? row.chosenTo,
        ...(last ? { chosenAt: ctx.now() } : {}),
      },
    })
    await due(tx, 'replacement.advance', { replacementId: row.id })
  })
}

/** In force when it was ordered, and nothing has taken its place since. */
function chosenBy({ where, tenantId, createdAt }: Row, now: Date) {
  const request: ReplacementWhere = Value.Parse(Replacement.properties.where, where)
  const { authority, spkiSha256, tenant, dnsName } = request
  return {
    status: 'active',
    notAfter: { gte: now },
    createdAt: { lte: createdAt },
    replacementId: null,
    cause: { not: 'probe' },
    uploaded: '',
    replacedBy: { none: { status: { not: 'revoked' } } },
    OR: [{ hostId: null }, { servedBy: { some: {} } }],
    ...(tenantId === null ? {} : { tenantId }),
    ...(authority === undefined ? {} : { authority: { name: authority } }),
    ...(spkiSha256 === undefined ? {} : { spkiSha256 }),
    ...(tenant === undefined ? {} : { tenant: { name: tenant } }),
    ...(dnsName === undefined ? {} : { dnsNames: { has: dnsName.toLowerCase() } }),
  }
}

/** Revokes what has been replaced, on hosts when no cluster serves it any more. */
async function revokeReplaced(ctx: Context, { id }: Row): Promise<void> {
  const rows = await ctx.db.read.$queryRaw<readonly { id: string }[]>(sql`
    select "id"::text as id from certificate
    where "replacementId" = ${id}::uuid and "status" = 'active'
      and "notAfter" >= ${ctx.now()}::timestamptz
      and exists (select from certificate next
        where next."replacesId" = certificate."id" and next."status" = 'active')
      and not exists (select from host where host."certificateId" = certificate."id")
      and not exists (select from placement
        where placement."certificateId" = certificate."id" and placement."wanted")
    order by "id" limit ${batchSize}::int`)
  for (const each of rows) {
    const revoker = { actor, now: ctx.now() }
    await ctx.db.transaction((tx) => revokeOne(tx, revoker, { id: each.id, reason: 'superseded' }))
  }
}

/** Looks at every order that is under way: the net below the jobs. Answers how many. */
export async function resumeReplacements(ctx: Context): Promise<number> {
  const rows = await ctx.db.read.replacement.findMany({
    where: { doneAt: null },
    select: { id: true },
  })
  for (const { id } of rows) {
    await ctx.db.transaction((tx) => due(tx, 'replacement.advance', { replacementId: id }))
  }
  return rows.length
}
