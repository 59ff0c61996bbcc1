import { CaChallengeSettings } from '../../authorities/acme/schema.ts'
import { dropOrder } from '../../certificates/elsewhere/order.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { CompleteSpec, namesOf } from '../../hosts/host.ts'
import { hour } from '../../shared/moment.ts'
import { shownJson } from '../../shared/view.ts'
import { accountFault } from '../client/accountfault.ts'
import { sessionOf } from '../client/protocol.ts'
import { CaRefusal, isPassing } from '../client/refusal.ts'
import { cleanUp } from '../proving/challenges.ts'
import { authorize } from './authorize.ts'
import { finish } from './finish.ts'
import { failed, type Next, type OrderRow, orderPatience, readOrder, waiting } from './order.ts'
import { send } from './send.ts'

/** So many steps are taken in one go, each of which ends with what came of it being stored. */
const mostSteps = 60

/** Takes an order as far as it can go now: sent to the CA, its names proved, finished, and cleaned up after. Driven by what
 *  is stored alone: killed between any two steps, the next one who looks goes on. */
export async function advanceOrder(ctx: Context, orderId: string): Promise<void> {
  let next: Next = 'now'
  let ended = false
  for (let steps = 0; steps < mostSteps && next === 'now'; steps++) {
    const order = await readOrder(ctx, orderId)
    ended = order?.endedAt !== null
    next = order ? await tried(ctx, order) : undefined
  }
  if (next === undefined) return
  const at = next === 'now' ? ctx.now() : next
  await ctx.db.transaction(async (tx) => {
    // Of what is due of an order the last word counts: who has ended it meanwhile wants it looked at now.
    const [row] = await tx.$queryRaw<readonly { readonly ended: boolean }[]>(sql`
      select "endedAt" is not null as ended from ca_order where "id" = ${orderId}::uuid for update`)
    await due(tx, 'ca.order', { orderId }, row?.ended && !ended ? ctx.now() : at)
  })
}

async function tried(ctx: Context, order: OrderRow): Promise<Next> {
  if (order.cleanedAt !== null) return undefined
  try {
    return order.endedAt === null ? await step(ctx, order) : await cleaned(ctx, order)
  } catch (error) {
    if (!(error instanceof CaRefusal)) throw error
    return order.endedAt === null ? refused(ctx, order, error) : uncleaned(ctx, order, error)
  }
}

/** How long an account that is not there yet is waited for, and one that a person has to mend: whoever opens it has
 *  this looked at. */
const accountPause = { usual: 5_000, failed: 60_000 } as const

async function step(ctx: Context, order: OrderRow): Promise<Next> {
  const account = order.authority.caAccount
  const provedOtherwise = isProvedOtherwise(order)
  if (!account || isLeft(account) || provedOtherwise || !(await isWanted(ctx, order))) {
    await ctx.db.transaction(async (tx) => {
      await dropOrder(tx, order.id, ctx.now())
      if (provedOtherwise) await due(tx, 'host.certify', { hostId: order.hostId })
    })
    return 'now'
  }
  const session = await sessionOf(ctx, account)
  if (!session || account.state !== 'valid' || session.url === undefined) {
    const why = account.message === null ? '' : `: ${account.message}`
    const pause = account.state === 'failed' ? accountPause.failed : accountPause.usual
    return waiting(ctx, order, `the account with the CA is ${account.state}${why}`, pause)
  }
  // What proves a name holds the thumbprint of the key.
  if (order.state === 'new' && account.changes.includes('key')) {
    return waiting(ctx, order, 'the key of the account is being changed', accountPause.usual)
  }
  try {
    if (order.state === 'new') return await send(ctx, order, session)
    if (order.state === 'authorizing') return await authorize(ctx, order, session)
    return await finish(ctx, order, session)
  } catch (error) {
    if (!(error instanceof CaRefusal) || isPassing(error)) throw error
    const fault = await accountFault(ctx, session, error)
    if (fault === undefined) throw error
    return waiting(ctx, order, fault, accountPause.usual)
  }
}

function isLeft({ state }: { readonly state: string }): boolean {
  return state === 'deactivating' || state === 'deactivated'
}

/** Whether names of it are being proved in another way than is asked for by now: then it begins anew. */
function isProvedOtherwise({ state, challenges, authority }: OrderRow): boolean {
  if (state !== 'authorizing' || authority.caAccount === null) return false
  const { type } = shownJson(CaChallengeSettings, authority.caAccount.challenge)
  return challenges.some((each) => each.type !== type && each.outcome === null)
}

/** Whether the host still asks for what was ordered. What the CA was told to issue is taken whatever is asked for by
 *  now, so that there is none that is not on record. */
async function isWanted(ctx: Context, order: OrderRow): Promise<boolean> {
  const host = await ctx.db.read.host.findUnique({ where: { id: order.hostId } })
  if (!host || host.removedAt !== null) return false
  if (order.state === 'finalizing') return true
  if (order.authority.retiredAt !== null) return false
  const spec = shownJson(CompleteSpec, host.spec)
  const { certificate } = spec
  const names = namesOf(host.name, spec).toSorted()
  return (
    certificate.uploaded === undefined &&
    certificate.authority === order.authority.name &&
    certificate.keyAlgorithm === order.keyAlgorithm &&
    names.join() === order.names.toSorted().join()
  )
}

async function refused(ctx: Context, order: OrderRow, error: CaRefusal): Promise<Next> {
  const now = ctx.now()
  const age = now.getTime() - order.createdAt.getTime()
  if (!isPassing(error) || age > orderPatience) return failed(ctx, order, error)
  const failures = order.failures + 1
  const pause = Math.max(error.retryAfter ?? 0, Math.min(1_000 * 2 ** failures, hour))
  const retryAt = new Date(now.getTime() + pause)
  const { problem } = error
  await ctx.db.read.caOrder.updateMany({
    where: { id: order.id, endedAt: null },
    data: { failures, problem, retryAt },
  })
  if (problem === 'rateLimited' && order.state === 'new') {
    const pausedUntil = new Date(now.getTime() + Math.min(error.retryAfter ?? 60_000, 600_000))
    await ctx.db.read.caAccount.updateMany({
      where: { authorityId: order.authorityId },
      data: { pausedUntil },
    })
  }
  const message = `${error.message} (${problem}); it is asked again at ${retryAt.toISOString()}`
  await waiting(ctx, order, message, 0)
  return retryAt
}

/** What was put up for an order that has ended is taken away; then nothing is left to do. */
async function cleaned(ctx: Context, order: OrderRow): Promise<Next> {
  const left = order.challenges.filter(
    ({ presentedAt, cleanedAt }) => presentedAt !== null && cleanedAt === null,
  )
  for (const each of left) await cleanUp(ctx, each)
  await ctx.db.transaction(async (tx) => {
    await tx.caOrderSecret.deleteMany({ where: { orderId: order.id } })
    await tx.caOrder.updateMany({ where: { id: order.id }, data: { cleanedAt: ctx.now() } })
  })
  return undefined
}

/** How often what was put up is tried to be taken away. */
const mostCleanings = 12

async function uncleaned(ctx: Context, order: OrderRow, error: CaRefusal): Promise<Next> {
  const failures = order.failures + 1
  const given = failures > mostCleanings
  const data = { failures, ...(given ? { cleanedAt: ctx.now() } : {}) }
  await ctx.db.read.caOrder.updateMany({ where: { id: order.id }, data })
  if (!given) return new Date(ctx.now().getTime() + Math.min(5_000 * 2 ** failures, hour))
  const facts = { orderId: order.id, problem: error.problem }
  ctx.log.warn(facts, 'what proved the names of an order could not be taken away')
  return undefined
}
