import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { Problem } from '../../shared/problem.ts'
import { backoff, isOwed, renewalState, withIssuer } from './rules.ts'

/** A certificate that is to be renewed, and what has taken its place. */
export type PredecessorRow = NonNullable<Awaited<ReturnType<typeof findPredecessor>>>

/** What a certificate that is to be renewed is known by. */
export function findPredecessor(tx: Tx, id: string) {
  return tx.certificate.findUnique({
    where: { id },
    include: {
      tenant: { select: { name: true } },
      ...withIssuer,
      replacedBy: { select: { id: true, status: true }, orderBy: { createdAt: 'desc' } },
      servedBy: { select: { id: true } },
    },
  })
}

/** Whether it may be replaced whatever the quota of its tenant says. */
export function isReplaceable(row: PredecessorRow, now: Date): boolean {
  return isOwed({ ...row, ...renewalState(row) }, now)
}

/** What has taken its place and is not revoked. */
export function successorOf({ replacedBy }: PredecessorRow): { readonly id: string } | undefined {
  return replacedBy.find(({ status }) => status !== 'revoked')
}

/** Throws certificate-replaced when something has taken its place. */
export function refuseReplaced(row: PredecessorRow): void {
  const next = successorOf(row)
  if (!next) return
  throw new Problem('certificate-replaced', `${next.id} has taken its place: renew that one`, {
    replacedBy: next.id,
  })
}

/** Renewed once; if this is lost, the next look at it finds what took its place. */
export async function retire(tx: Tx, id: string): Promise<void> {
  await tx.certificate.updateMany({ where: { id }, data: { autoRenew: false, renewError: null } })
}

/** It has been replaced: it is renewed no more, and where it lies as a Secret, or gateways show it to backends, the
 *  next one is to be. */
export async function recordReplaced(ctx: Context, certificateId: string): Promise<void> {
  await retire(ctx.db.read, certificateId)
  await ctx.db.transaction(async (tx) => {
    await tellDeliveries(tx, certificateId)
    await tellHosts(tx, certificateId)
  })
}

/** If this is lost, the next look at the Secrets finds it. */
export async function tellDeliveries(tx: Tx, certificateId: string): Promise<void> {
  const targets = await tx.deliveryTarget.findMany({
    where: { wanted: true, delivery: { certificateId } },
    select: { id: true, clusterId: true },
  })
  const keys = targets.map(({ id: targetId, clusterId }) => ({ targetId, clusterId }))
  await dueMany(tx, 'delivery.reconcile', keys)
}

/** Hosts name the first of a line. If this is lost, the next look at them finds it. */
async function tellHosts(tx: Tx, certificateId: string): Promise<void> {
  const keys = await tx.$queryRaw<readonly { placementId: string; clusterId: string }[]>(sql`
    with recursive line as (
      select "id", "replacesId" from certificate where "id" = ${certificateId}::uuid
      union
      select before."id", before."replacesId"
      from line join certificate before on before."id" = line."replacesId"
    )
    select placement."id"::text as "placementId", placement."clusterId"::text
    from line join backend_client on backend_client."certificateId" = line."id"
      join placement on placement."hostId" = backend_client."hostId" and placement."wanted"`)
  await dueMany(tx, 'placement.push', keys)
}

/** Why there is no new one: it is tried again later, then later still. */
export async function recordRefused(
  ctx: Context,
  row: PredecessorRow,
  error: Problem,
): Promise<void> {
  const renewFailures = row.renewFailures + 1
  const renewAfter = new Date(ctx.now().getTime() + backoff(renewFailures))
  await ctx.db.transaction(async (tx) => {
    await tx.certificate.updateMany({
      where: { id: row.id, renewFailures: row.renewFailures },
      data: { renewFailures, renewAfter, renewError: error.message },
    })
    await due(tx, 'certificate.renew', { certificateId: row.id }, renewAfter)
  })
}
