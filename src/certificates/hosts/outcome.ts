import type { Context } from '../../core/context.ts'
import { batched } from '../../core/database/batch.ts'
import { type Sql, sql, type Tx } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { oncePer } from '../../core/onceper.ts'
import { type Trace, traceHere } from '../../core/tracing.ts'
import { labelCertificates } from '../../hosts/marks.ts'
import type { Problem } from '../../shared/problem.ts'
import { backoff } from '../renewal/rules.ts'
import type { CertificateNeed } from './need.ts'
import type { CertifiedHost } from './order.ts'

/** A host as it was read, and the certificate that it is to have from now on. */
type Given = { readonly host: CertifiedHost; readonly certificateId: string }

/** Gives a host the certificate that it is to have from now on, and tells its clusters; those of one moment by one
 *  transaction. The host as it is now counts: was it changed since `host` was read, it is looked at again. */
export function recordCertificate(ctx: Context, given: Given): Promise<true> {
  return recording(ctx)({ ...given, trace: traceHere() })
}

type Asked = Given & { readonly trace: Trace | undefined }

const recording = oncePer((ctx) =>
  batched(
    async (all: readonly Asked[]) => {
      await ctx.db.transaction((tx) => recordAll(tx, all, ctx.now()))
      return all.map(() => true as const)
    },
    { size: 64, lanes: 1 },
  ),
)

async function recordAll(tx: Tx, all: readonly Asked[], now: Date): Promise<void> {
  const firsts = new Map(all.toReversed().map((each) => [each.host.id, each]))
  const current = await heldAsRead(tx, [...firsts.values()])
  const given = [...firsts.values()].filter(({ host }) => current.has(host.id))
  const others = all.filter((each) => !given.includes(each))
  const again = others.map(({ host, trace }) => ({ hostId: host.id, trace }))
  await dueMany(tx, 'host.certify', again)
  if (given.length === 0) return
  await tx.$executeRaw(sql`
    update host set "certificateId" = item."certificateId", "certifyFailures" = 0
    from ${itemsOf(given)} where host."id" = item."id"
      and (host."certificateId" is distinct from item."certificateId" or "certifyFailures" <> 0)`)
  // They may have been changed while it was issued.
  await labelCertificates(
    tx,
    given.map(({ host }) => host.id),
  )
  await settleRenewals(tx, given)
  await tellClusters(tx, given, now)
}

function itemsOf(all: readonly Asked[]): Sql {
  const items = all.map(({ host, certificateId }) => ({
    ...{ id: host.id, generation: host.generation, before: host.certificateId, certificateId },
  }))
  return sql`jsonb_to_recordset(${JSON.stringify(items)}::jsonb)
    as item ("id" uuid, "generation" int, "before" uuid, "certificateId" uuid)`
}

/** Holds the hosts until the transaction ends; answers which of them are still as they were read. */
async function heldAsRead(tx: Tx, all: readonly Asked[]): Promise<ReadonlySet<string>> {
  const rows = await tx.$queryRaw<readonly { readonly id: string }[]>(sql`
    select host."id"::text from ${itemsOf(all)} join host on host."id" = item."id"
      and host."generation" = item."generation"
      and host."certificateId" is not distinct from item."before"
    order by host."id" for update of host`)
  return new Set(rows.map(({ id }) => id))
}

/** The one before is not renewed any more; of the one that stays there is nothing to complain. */
async function settleRenewals(tx: Tx, given: readonly Given[]): Promise<void> {
  const known = given.filter(({ host }) => host.certificateId !== null)
  const replaced = known.filter(({ host, certificateId }) => host.certificateId !== certificateId)
  const stays = known.filter((each) => !replaced.includes(each))
  const where = (some: readonly Given[]) => ({
    id: { in: some.flatMap(({ host }) => host.certificateId ?? []) },
  })
  const failed = stays.filter(({ host }) => host.certificate?.renewError)
  const ids = failed.flatMap(({ host }) => host.certificateId ?? [])
  if (replaced.length > 0) {
    await tx.certificate.updateMany({ where: where(replaced), data: { autoRenew: false } })
  }
  if (ids.length > 0) {
    // That its key is blocked stays wrong with an uploaded one, although its hosts go on with it.
    await tx.$executeRaw(sql`
      update certificate set "renewFailures" = 0, "renewAfter" = null, "renewError" = null
      where "id" = any(${ids}::uuid[]) and ("uploaded" = '' or not exists (
        select from blocked_key where blocked_key."spkiSha256" = certificate."spkiSha256"))`)
  }
}

/** Of a certificate whose renewal did not fail, or matters no more. */
export const noFailures = { renewFailures: 0, renewAfter: null, renewError: null } as const

type Behind = {
  readonly placementId: string
  readonly clusterId: string
  readonly hostId: string
  /** It was served before with another certificate, which is about to end or was revoked. */
  readonly ending: boolean
}

async function tellClusters(tx: Tx, given: readonly Asked[], now: Date): Promise<void> {
  const behind = await tx.$queryRaw<readonly Behind[]>(sql`
    select placement."id"::text as "placementId", "clusterId"::text, "hostId"::text,
      coalesce(placement."certificateId" <> item."certificateId", false) as ending
    from ${itemsOf(given)} join placement on "hostId" = item."id" and "wanted" and (
      "status" <> 'Synced' or placement."generation" is distinct from item."generation"
      or placement."certificateId" is distinct from item."certificateId")`)
  await tx.placement.updateMany({
    where: { id: { in: behind.map(({ placementId }) => placementId) }, status: 'Synced' },
    data: { status: 'Pending', since: now, message: null },
  })
  const traces = new Map(given.map(({ host, trace }) => [host.id, trace]))
  for (const [ending, some] of Map.groupBy(behind, (each) => each.ending)) {
    const keys = some.map(({ hostId, placementId, clusterId }) => ({
      ...{ placementId, clusterId, trace: traces.get(hostId) },
    }))
    await dueMany(tx, 'placement.push', keys, ending ? { urgency: 'ending' } : {})
  }
}

/** What was refused: another certificate that is needed, or an uploaded one. */
type Refused = Omit<CertificateNeed, 'reason'> & { readonly uploaded?: true }

/** Says on the placements, and on the certificate that stays in use, why there is no new one. */
export async function recordRefusal(
  tx: Tx,
  host: CertifiedHost,
  { why, error, now }: { why: Refused; error: Problem; now: Date },
): Promise<void> {
  const certifyFailures = host.certifyFailures + 1
  const { count } = await tx.host.updateMany({
    where: { id: host.id, generation: host.generation, certificateId: host.certificateId },
    data: { certifyFailures },
  })
  // The host was changed meanwhile, which has made the next look due; or it has got one.
  if (count === 0) return
  const at = new Date(now.getTime() + backoff(certifyFailures))
  const message = why.uploaded
    ? error.message
    : `No certificate could be issued (${why.message}): ${error.message}`
  await tx.placement.updateMany({
    where: { hostId: host.id, wanted: true },
    data: { message, ...(why.urgent ? { status: 'Failed', since: now } : {}) },
  })
  if (host.certificateId !== null) {
    const failed = { renewFailures: certifyFailures, renewAfter: at, renewError: error.message }
    await tx.certificate.updateMany({ where: { id: host.certificateId }, data: failed })
  }
  await due(tx, 'host.certify', { hostId: host.id }, at)
}
