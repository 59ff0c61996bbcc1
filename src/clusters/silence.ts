import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { due } from '../core/database/due.ts'

/** What is known of whether a cluster answers. `silentSince` is the breaker: cluster.check alone opens
 *  and closes it, and nothing is sent to the cluster while it is open. `unansweredAt` is what a push saw:
 *  from then on only the slow lane waits for the cluster, until it has answered. */
export type Silence = {
  readonly silentSince: Date | null
  readonly unansweredAt: Date | null
  readonly message: string | null
}

/** Why nothing is sent to the cluster now, or null. */
export function silenceOf({ silentSince, message }: Silence): string | null {
  if (silentSince === null) return null
  const since = `${silentSince.toISOString().slice(0, 19)}Z`
  return `Waiting for the cluster, which has not answered since ${since}: ${message ?? 'no reason is known'}`
}

/** Whether a job is to wait for this cluster in the slow lane: it did not answer last time. */
export async function isSlow(
  ctx: Context,
  { clusterId, task }: { readonly clusterId: string; readonly task: string },
): Promise<boolean> {
  const row = await ctx.db.read.cluster.findUnique({
    where: { id: clusterId },
    select: { silentSince: true, unansweredAt: true },
  })
  if (!row) return false
  // A push to a silent cluster waits for nothing.
  if (row.silentSince !== null) return !['placement.push', 'delivery.reconcile'].includes(task)
  return row.unansweredAt !== null
}

/** Holds what is known of the cluster until the transaction ends; answers whether it is still silent. */
export async function holdSilent(tx: Tx, clusterId: string): Promise<boolean> {
  const rows = await tx.$queryRaw<readonly unknown[]>(sql`
    select id from cluster where id = ${clusterId}::uuid and "silentSince" is not null for share`)
  return rows.length > 0
}

/** Notes that the cluster was waited for in vain, and has it looked at. */
export async function noteUnanswered(ctx: Context, clusterId: string): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    const data = { unansweredAt: ctx.now() }
    const { count } = await tx.cluster.updateMany({ where: { id: clusterId }, data })
    if (count > 0) await due(tx, 'cluster.check', { clusterId }, null, 'slow')
  })
}

/** Notes that it answers again. */
export async function noteAnswered(
  ctx: Context,
  { id, unansweredAt }: { readonly id: string; readonly unansweredAt: Date | null },
): Promise<void> {
  if (unansweredAt === null) return
  await ctx.db.transaction((tx) =>
    tx.cluster.updateMany({ where: { id, unansweredAt }, data: { unansweredAt: null } }),
  )
}
