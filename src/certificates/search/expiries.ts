import Type from 'typebox'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { joinSql, type Sql, sql } from '../../core/database/db.ts'
import { periodEnd } from '../../shared/lists/period.ts'
import { day } from '../../shared/moment.ts'
import { refuse } from '../../shared/problem.ts'
import { closed } from '../../shared/schema.ts'
import { timestamp } from '../../shared/view.ts'
import { accessTenant } from '../../tenants/access.ts'
import type { CertificateFilter } from './filter.ts'
import { countAndRenewing, searchOf } from './select.ts'

export const ExpiryStep = Type.Enum(['day', 'week'], { title: 'ExpiryStep' })
export type ExpiryStep = Type.Static<typeof ExpiryStep>

/** How many certificates end in a day or a week. */
export const Expiries = closed(
  {
    from: Type.String({ format: 'date-time', description: 'When the day or week begins; UTC' }),
    count: Type.Integer({ description: 'How many end in it' }),
    renewing: Type.Integer({ description: 'Of these, renewed without being asked' }),
  },
  { title: 'Expiries' },
)
export type Expiries = Type.Static<typeof Expiries>

type Asked = Omit<CertificateFilter, 'status' | 'expiringWithin'> & {
  readonly within: string
  readonly by?: ExpiryStep
  readonly tenant?: string
}

/** The most days or weeks that are told of at once. */
const mostSteps = 400
const stepMilliseconds = { day, week: 7 * day } as const

/** When certificates end within a period: a histogram, in order of time. Those that were revoked are left
 *  out. A tenant's API key is told of its own. Throws forbidden, tenant-unknown, request-invalid. */
export async function expiries(
  ctx: Context,
  actor: Actor,
  { within, by = 'day', tenant, ...filter }: Asked,
): Promise<readonly Expiries[]> {
  const tenantId = await tenantIdOf(ctx, actor, tenant)
  const now = ctx.now()
  const end = periodEnd(within, now)
  if (end.getTime() - now.getTime() > mostSteps * stepMilliseconds[by]) {
    const message = `At most ${mostSteps} ${by}s are told of at once: ask for a shorter period, or by week`
    refuse('request-invalid', [{ field: '/within', message }])
  }
  const { from, ends, ...found } = searchOf(now, tenantId, filter)
  const conditions = joinSql(
    [
      sql`${ends} >= ${now}::timestamptz and ${ends} <= ${end}::timestamptz`,
      sql`certificate."revokedAt" is null`,
      ...found.conditions,
    ],
    ' and ',
  )
  const { authority: _, ...others } = filter
  const few = tenantId !== null || Object.values(others).some((value) => value !== undefined)
  const rows = await ctx.db.rows<Row>(
    few ? grouped(by, { from, conditions }) : stepwise({ by, now, end, conditions }),
  )
  return rows.map(({ from, ...counts }) => ({ from: timestamp(from), ...counts }))
}

/** Whatever finds few finds them once. */
function grouped(by: ExpiryStep, { from, conditions }: { from: Sql; conditions: Sql }): Sql {
  return sql`
    select date_trunc(${by}, certificate."notAfter", 'UTC') as "from", ${countAndRenewing}
    from ${from} where ${conditions} group by 1 order by 1`
}

/** Each step is a range of the index of ends, which is far faster than to group what a scan finds. */
function stepwise({
  by,
  now,
  end,
  conditions,
}: {
  by: ExpiryStep
  now: Date
  end: Date
  conditions: Sql
}) {
  return sql`
    select "from", "count", "renewing"
    from generate_series(date_trunc(${by}, ${now}::timestamptz, 'UTC'), ${end}::timestamptz,
      ${`1 ${by}`}::interval) as "from"
    cross join lateral (
      select ${countAndRenewing} from certificate where certificate."notAfter" >= greatest("from", ${now}::timestamptz)
        and certificate."notAfter" < "from" + ${`1 ${by}`}::interval and ${conditions}
    ) as step where "count" > 0 order by "from"`
}

type Row = Omit<Expiries, 'from'> & { readonly from: Date }

/** Whose certificates are counted: of the tenant that is named, or of the actor's own; null: all of them. Throws
 *  forbidden, tenant-unknown. */
export async function tenantIdOf(
  ctx: Context,
  actor: Actor,
  tenant: string | undefined,
): Promise<string | null> {
  if (tenant !== undefined) {
    return (await accessTenant(ctx, actor, { name: tenant, permission: 'read' })).id
  }
  if (actor.tenantId !== null) return actor.tenantId
  allowPlatform(actor, 'read')
  return null
}
