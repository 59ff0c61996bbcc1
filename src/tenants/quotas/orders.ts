import Type from 'typebox'
import Value from 'typebox/value'
import { type Context, lasting } from '../../core/context.ts'
import { batched } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { dayOf, quotaExceeded, quotasOf } from './limits.ts'

// Certificates are ordered by the thousand a second, and a count in a row that each of them changes would
// have them wait for one another. So a process takes some of the day's orders at a time, and no more than
// a hundredth of what is left of them: the last ones are taken one by one. Never more are given out than
// the quota says; what a process has in hand when it ends is lost for the day.

type Hand = { readonly day: string; readonly limit: number; left: number }

const hands = oncePer(() => new Map<string, Hand>())

type Asking = { readonly tenantId: string; readonly day: string; readonly limit: number }

/** Takes one of the certificates that a tenant may order today; also in a rehearsal, which gives it back. Throws
 *  quota-exceeded. */
export async function takeOrder(
  given: Context,
  tenant: { readonly id: string; readonly quotas: unknown },
): Promise<void> {
  const ctx = lasting(given)
  const now = ctx.now()
  const limit = quotasOf(tenant, ctx.config).certificatesPerDay
  const asking = { tenantId: tenant.id, day: dayOf(now).day, limit }
  const hand = handFor(ctx, asking)
  if (hand && hand.left > 0) {
    hand.left--
    return
  }
  if (!(await taken(ctx)(asking))) throw quotaExceeded('certificatesPerDay', { limit, now })
}

/** Gives one back that came to nothing. */
export function returnOrder(
  given: Context,
  tenant: { readonly id: string; readonly quotas: unknown },
): void {
  const ctx = lasting(given)
  const limit = quotasOf(tenant, ctx.config).certificatesPerDay
  put(ctx, { tenantId: tenant.id, day: dayOf(ctx.now()).day, limit }, 1)
}

/** How many of today's orders this process has taken and not used. */
export function ordersInHand(ctx: Context, tenantId: string): number {
  const hand = hands(ctx).get(tenantId)
  return hand?.day === dayOf(ctx.now()).day ? hand.left : 0
}

/** What is in hand, if the quota is still the one under which it was taken. */
function handFor(ctx: Context, { tenantId, day, limit }: Asking): Hand | undefined {
  const hand = hands(ctx).get(tenantId)
  return hand?.day === day && hand.limit === limit ? hand : undefined
}

function put(ctx: Context, asking: Asking, orders: number): void {
  const { tenantId, day, limit } = asking
  const left = (handFor(ctx, asking)?.left ?? 0) + orders
  hands(ctx).set(tenantId, { day, limit, left })
}

/** Those who find nothing in hand ask together. */
const taken = oncePer((ctx) =>
  batched((requests: readonly Asking[]) => takeAll(ctx, requests), { size: 500, lanes: 1 }),
)

async function takeAll(ctx: Context, requests: readonly Asking[]): Promise<readonly boolean[]> {
  const granted = new Map<string, number>()
  const groups = Map.groupBy(requests, ({ tenantId, day, limit }) => `${tenantId} ${day} ${limit}`)
  for (const [key, group] of groups) {
    const [asking] = group
    if (asking) granted.set(key, await take(ctx, asking, group.length))
  }
  return requests.map(({ tenantId, day, limit }) => {
    const key = `${tenantId} ${day} ${limit}`
    const left = granted.get(key) ?? 0
    granted.set(key, left - 1)
    return left > 0
  })
}

/** Takes up to `wanted` and some in reserve; answers how many of those wanted there are. */
async function take(ctx: Context, asking: Asking, wanted: number): Promise<number> {
  const { tenantId, day, limit } = asking
  const before = hands(ctx).get(tenantId)
  hands(ctx).delete(tenantId)
  const back = before?.day === day ? before.left : 0
  const rows = await ctx.db.statement(taking, [tenantId, day, limit, wanted, back, mostInHand])
  const { granted } = Value.Parse(Granted, rows[0])
  if (granted > wanted) put(ctx, asking, granted - wanted)
  return Math.min(granted, wanted)
}

const mostInHand = 500

const Granted = Type.Object({ granted: Type.Integer() })

/** $1 tenant, $2 day, $3 limit, $4 wanted, $5 given back, $6 the most in reserve. Counts of a week ago
 *  go. */
const taking = `
  with former as (
    delete from tenant_usage where "tenantId" = $1::uuid and "day" < $2::date - 7
  )
  insert into tenant_usage as held ("tenantId", "quota", "day", "used", "granted")
  select $1::uuid, 'certificatesPerDay', $2::date, g, g
  from (select least(greatest($4::int, least($6::int, $3::int / 100)), $3::int) as g) as first
  on conflict ("tenantId", "quota", "day") do update set
    "granted" = greatest(0, least($3::int - held."used" + $5::int,
      greatest($4::int, least($6::int, ($3::int - held."used" + $5::int) / 100)))),
    "used" = held."used" - $5::int + greatest(0, least($3::int - held."used" + $5::int,
      greatest($4::int, least($6::int, ($3::int - held."used" + $5::int) / 100))))
  returning "granted"`
