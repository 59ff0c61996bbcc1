import { type Actor, allow } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { day } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { shown, timestamp } from '../../shared/view.ts'
import { issuingAuthority } from '../issuers/current.ts'
import { issuerShown, issuerView, mayKnow } from '../issuers/view.ts'
import { trustingPlacements, trustWanted } from '../trust/placements.ts'
import { Rotation, type RotationFacts } from './steps.ts'

const few = 100

/** How long after a certificate was replaced its holder may still use it. */
const handover = day

/** The latest change of an authority's key, and what it waits for; the API key of a tenant sees of that
 *  what is the tenant's own, in the counts too. Throws authority-unknown, rotation-unknown. */
export async function getRotation(ctx: Context, actor: Actor, name: string): Promise<Rotation> {
  allow(actor, 'read')
  const authority = await issuingAuthority(ctx, { name, tenantId: actor.tenantId })
  const row = await readRotation(ctx.db.read, authority.id)
  if (!row) throw new Problem('rotation-unknown', `The key of "${name}" was never changed`)
  const left = await outstanding(ctx.db.read, row, ctx.now())
  const { tenantId } = actor
  const held = await heldOf(ctx.db.read, row, { now: ctx.now(), tenantId })
  const own = (each: { readonly tenantId: string }) =>
    tenantId === null || each.tenantId === tenantId
  const unsettled = left.unsettled.filter(own)
  return shown(Rotation, {
    authority: name,
    step: row.step,
    since: timestamp(row.since),
    startedAt: timestamp(row.startedAt),
    deadline: timestamp(row.deadline),
    retiredBy: row.retiredBy,
    from: issuerView(row.from, actor),
    to: issuerView(row.to, actor),
    outstanding: {
      trust: unsettled.slice(0, few).map(({ name: host, cluster, status, message }) => ({
        host,
        cluster: cluster.name,
        status,
        message,
      })),
      hosts: left.hosts.filter(own).length,
      certificates:
        tenantId === null
          ? left.certificates
          : await countHeld(ctx.db.read, row, { now: ctx.now(), tenantId }),
      held: held.map(({ notAfter, ...each }) => ({ ...each, notAfter: timestamp(notAfter) })),
      authorities: namesOf(left.authorities.filter((each) => mayKnow(actor, each))),
    },
  })
}

/** A rotation with its authority and both issuers. */
export type RotationRow = NonNullable<Awaited<ReturnType<typeof readRotation>>>

/** The latest rotation of an authority. */
export function readRotation(tx: Tx, authorityId: string) {
  return tx.rotation.findFirst({
    where: { authorityId },
    orderBy: { startedAt: 'desc' },
    include: {
      authority: { select: { id: true, name: true, kind: true, tenantId: true } },
      from: { include: issuerShown },
      to: { include: issuerShown },
    },
  })
}

/** Everything that a rotation waits for. */
export async function outstanding(tx: Tx, row: RotationRow, now: Date) {
  const trusting = await trustingPlacements(tx, row.authority.name)
  const wanted = await trustWanted(tx, row.authority.name)
  return {
    trusting,
    unsettled: row.step === 'done' ? [] : trusting.filter(({ trust }) => trust !== wanted),
    hosts: await hostsOf(tx, row),
    certificates: await countHeld(tx, row, { now, tenantId: null }),
    authorities: await authoritiesBelow(tx, row, now),
  }
}

/** The facts that decide the next step (./steps.ts). */
export function rotationFacts(
  row: RotationRow,
  left: Awaited<ReturnType<typeof outstanding>>,
): RotationFacts {
  return {
    trusting: left.trusting.length,
    unsettled: left.unsettled.length,
    settledAt: row.settledAt,
    hosts: left.hosts.length,
    certificates: left.certificates,
    authorities: namesOf(left.authorities).length,
    retired: row.retiredBy !== null,
  }
}

/** Hosts whose certificate is of the old key, or that were last seen to serve one of it. */
function hostsOf(tx: Tx, { from }: RotationRow) {
  return tx.$queryRaw<readonly { id: string; tenantId: string; waits: boolean }[]>(sql`
    with own as (select "id" from issuer where "keyId" = ${from.keyId}::uuid)
    select host."id"::text as id, host."tenantId"::text as "tenantId", false as waits from host
    join certificate on certificate."id" = host."certificateId"
    where certificate."issuerId" in (select "id" from own) and host."removedAt" is null
    union
    select placement."hostId"::text, placement."tenantId"::text, true from placement
    join certificate on certificate."id" = placement."certificateId"
    join host on host."id" = placement."hostId" and host."certificateId" <> certificate."id"
    where certificate."issuerId" in (select "id" from own) and placement."wanted"
      and host."removedAt" is null`)
}

/** What others hold: whoever lets in clients must not miss those; of a root, anything counts. */
function heldWhere({ from, authority }: RotationRow, { now, tenantId }: Whose) {
  return sql`
    (${tenantId}::uuid is null or certificate."tenantId" = ${tenantId}::uuid) and
    "issuerId" in (select "id" from issuer where "keyId" = ${from.keyId}::uuid)
    and "hostId" is null and "cause" <> 'probe' and "status" <> 'revoked' and "notAfter" >= ${now}::timestamptz
    and (${authority.kind} = 'root' or "profile" in ('client', 'peer'))
    and not exists (
      select from certificate next where next."replacesId" = certificate."id"
        and next."status" <> 'revoked'
        and next."createdAt" <= ${new Date(now.getTime() - handover)}::timestamptz)`
}

/** Of one tenant, or of all (null). */
type Whose = { readonly now: Date; readonly tenantId: string | null }

async function countHeld(tx: Tx, row: RotationRow, whose: Whose): Promise<number> {
  const [found] = await tx.$queryRaw<readonly { count: number }[]>(sql`
    select count(*)::int as count from certificate where ${heldWhere(row, whose)}`)
  return found?.count ?? 0
}

type Held = {
  readonly id: string
  readonly tenant: string
  readonly serial: string
  readonly profile: string
  readonly notAfter: Date
}

function heldOf(tx: Tx, row: RotationRow, whose: Whose): Promise<readonly Held[]> {
  return tx.$queryRaw<readonly Held[]>(sql`
    select certificate."id"::text as id, tenant."name" as tenant, "serial", "profile", "notAfter"
    from certificate join tenant on tenant."id" = certificate."tenantId"
    where certificate."id" in (select "id" from certificate where ${heldWhere(row, whose)}
      order by "notAfter" desc limit ${few}::int)
    order by "notAfter" desc, certificate."id"`)
}

async function authoritiesBelow(tx: Tx, { from, authorityId }: RotationRow, now: Date) {
  const rows = await tx.issuer.findMany({
    where: {
      parent: { keyId: from.keyId },
      authorityId: { not: authorityId },
      notAfter: { gte: now },
      trusted: true,
    },
    select: { authority: { select: { name: true, tenantId: true } } },
    orderBy: { createdAt: 'asc' },
  })
  return rows.map(({ authority }) => authority)
}

function namesOf(authorities: readonly { readonly name: string }[]): string[] {
  return [...new Set(authorities.map(({ name }) => name))]
}
