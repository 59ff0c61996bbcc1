import Type from 'typebox'
import type { Actor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { hangBell } from '../core/database/bells.ts'
import { oncePer } from '../core/onceper.ts'
import { seatsOf } from '../core/seats.ts'
import { closed } from '../shared/schema.ts'
import { accessTenant } from '../tenants/access.ts'
import { hostRow } from './find.ts'

const seconds = Type.Integer({
  minimum: 1,
  maximum: 60,
  default: 30,
  description: 'How long to wait, in seconds; then the host is answered as it is',
})

/** What a PUT may wait for. */
export const SettleQuery = closed({
  wait: Type.Optional(
    Type.Enum(['Applied', 'Synced', 'Settled'], {
      description:
        'Answer when every cluster has this status: Applied (or Synced), Synced, or Settled: Synced, Failed or Conflict',
    }),
  ),
  timeout: Type.Optional(seconds),
})

/** What a GET may wait for. */
export const WaitQuery = closed({
  wait: Type.Optional(
    Type.Enum(['Applied', 'Synced', 'Settled', 'Removed'], {
      description:
        'Answer when every cluster has this status: Applied (or Synced), Synced, or Settled: Synced, Failed or Conflict. Removed: answer 404 when the host is gone',
    }),
  ),
  timeout: Type.Optional(seconds),
})
type Word = NonNullable<Type.Static<typeof WaitQuery>['wait']>

/** The statuses that each of them is content with; a host on its way out is never as was waited for. */
const content: { readonly [Each in Word]: readonly string[] } = {
  Applied: ['Applied', 'Synced'],
  Synced: ['Synced'],
  Settled: ['Synced', 'Failed', 'Conflict'],
  Removed: [],
}

/** So many requests of a process may wait, and of one API key. */
const seats = oncePer(() => seatsOf({ all: 1000, each: 100 }))

/** Waits until every placement of the host has the status that is waited for, the time is over, or `signal` is
 *  aborted. Nothing is asked of the database again and again: it tells when to look. Answers false, at once,
 *  when too many wait already. Throws tenant-unknown, host-unknown. */
export async function waitForHost(
  ctx: Context,
  actor: Actor,
  { tenant, name, wait, timeout = 30, signal }: Waiting,
): Promise<boolean> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const { id } = await hostRow(ctx.db.read, { tenantId, name })
  const leave = seats(ctx).take(actor.id ?? actor.name)
  if (!leave) return false
  try {
    const over = AbortSignal.any([signal, AbortSignal.timeout(timeout * 1000)])
    const bell = await hangBell(ctx, 'gatesmith_hosts', [id])
    try {
      while (!over.aborted && !(await isAs(ctx, id, wait))) await bell.rung(over)
      return true
    } finally {
      bell.close()
    }
  } finally {
    leave()
  }
}

type Waiting = {
  readonly wait: Word
  readonly timeout?: number | undefined
  readonly tenant: string
  readonly name: string
  readonly signal: AbortSignal
}

/** A host that is gone is as it will stay. */
async function isAs(ctx: Context, id: string, wait: Word): Promise<boolean> {
  const host = await ctx.db.read.host.findUnique({
    where: { id },
    select: { placements: { select: { status: true, wanted: true } } },
  })
  if (!host) return true
  return (
    wait !== 'Removed' &&
    host.placements.every(({ status, wanted }) => wanted && content[wait].includes(status))
  )
}
