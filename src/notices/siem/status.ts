import Type from 'typebox'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql } from '../../core/database/db.ts'
import { closed, nullable, Timestamp } from '../../shared/schema.ts'
import { shown, timestampOrNull } from '../../shared/view.ts'

/** How far a SIEM was told of the audit trail. */
const Forward = closed(
  {
    kind: Type.Enum(['webhook', 'syslog'], { title: 'ForwardKind' }),
    target: Type.String({ description: 'Where it is, without what is secret' }),
    next: Type.String({ description: 'Decimal: chain.index of the first event it was not told' }),
    lagEvents: Type.Integer({ description: 'Events that it was not told yet' }),
    lagSeconds: Type.Integer({ description: 'For how long the oldest of them has been there' }),
    failures: Type.Integer({ description: 'How often in a row nothing was taken' }),
    error: nullable(Type.String(), 'Why nothing was taken at the last try'),
    retryAt: nullable(Timestamp, 'Until when nothing is sent'),
    forwardedAt: nullable(Timestamp, 'When something was taken last'),
  },
  { title: 'AuditForward' },
)
type Forward = Type.Static<typeof Forward>

export const Forwards = closed({ items: Type.Array(Forward) }, { title: 'AuditForwards' })

type Row = Omit<Forward, 'next' | 'retryAt' | 'forwardedAt'> & {
  readonly next: bigint
  readonly retryAt: Date | null
  readonly forwardedAt: Date | null
}

/** How far each SIEM that was ever set is told. Throws forbidden. */
export async function findForwards(
  ctx: Context,
  actor: Actor,
): Promise<Type.Static<typeof Forwards>> {
  allowPlatform(actor, 'read-audit')
  const rows = await forwardLags(ctx)
  const items = rows.map((row) =>
    shown(Forward, {
      ...row,
      next: String(row.next),
      retryAt: timestampOrNull(row.retryAt),
      forwardedAt: timestampOrNull(row.forwardedAt),
    }),
  )
  return { items }
}

/** The same for the service itself. What has no place in a chain yet, for a minute at most, is not counted. */
export async function forwardLags(ctx: Context): Promise<readonly Row[]> {
  const now = ctx.now()
  return ctx.db.read.$queryRaw<readonly Row[]>(sql`
    select kind, target, next, failures, error, "retryAt", "forwardedAt",
      greatest(0, least(coalesce(size, 0) - next, 2147483647))::int as "lagEvents",
      coalesce(greatest(0, extract(epoch from ${now}::timestamptz - event."at")), 0)::int as "lagSeconds"
    from audit_forward
    left join (select max(size) as size from audit_checkpoint) as checkpoint on true
    left join audit_link as link on link."index" = next
    left join audit_event as event on event."seq" = link."seq"
    order by kind`)
}
