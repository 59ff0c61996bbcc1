import type { Context } from '../core/context.ts'
import { anything, hangBell, ringBell, type StoredBell } from '../core/database/bells.ts'
import { sql } from '../core/database/db.ts'
import { oncePer } from '../core/onceper.ts'
import type { Event, Position } from './event.ts'
import { idOf, positionOf } from './event.ts'
import { eventsAfter, isLost, presentPosition, type Whose } from './find.ts'

/** What is told to who follows: that all that happens from now on is told, events in their order, that some were
 *  missed, or that there is nothing new. */
export type FollowStep =
  | { readonly kind: 'open' }
  | { readonly kind: 'events'; readonly events: readonly Event[] }
  | { readonly kind: 'reset'; readonly id: string }
  | { readonly kind: 'nothing' }

/** So many events are read at once, which is all that is held of them. */
const batchSize = 100
const quietMilliseconds = 15_000
const lookMilliseconds = 1_000

/** Events from after a place (undefined: from now on) until `signal` is aborted. It reads on when it is asked for
 *  more, so who is slow holds up nothing but itself; every fifteen seconds without any it says so. Before
 *  anything is told, `admitted` may throw, which ends it. */
export async function* followEvents(
  ctx: Context,
  whose: Whose,
  { after, signal, admitted }: Following,
): AsyncGenerator<FollowStep> {
  const bell = await hangBell(ctx, 'gatesmith_events', [whose.tenantId ?? anything])
  const stopLooking = look(ctx)
  try {
    let position = await presentPosition(ctx)
    // What happens before the process looks for the first time is new to it.
    looks(ctx).seen ??= position
    const lost = after !== undefined && (await isLost(ctx, after))
    if (after && !lost) position = after
    yield { kind: 'open' }
    if (lost) yield { kind: 'reset', id: idOf(position) }
    while (!signal.aborted) {
      const events = await eventsAfter(ctx, whose, { position, limit: batchSize })
      await admitted()
      const last = events.at(-1)
      if (last) {
        yield { kind: 'events', events }
        position = positionOf(last.id) ?? position
      } else if (!(await heard(bell, signal))) yield { kind: 'nothing' }
    }
  } finally {
    stopLooking()
    bell.close()
  }
}

type Following = {
  readonly after: Position | undefined
  readonly signal: AbortSignal
  readonly admitted: () => Promise<void>
}

/** Whether it rang before it was quiet for long, or everything ends. */
async function heard(bell: StoredBell, signal: AbortSignal): Promise<boolean> {
  const quiet = AbortSignal.timeout(quietMilliseconds)
  await bell.rung(AbortSignal.any([signal, quiet]))
  return !quiet.aborted
}

type Look = { followers: number; timer: NodeJS.Timeout | undefined; seen: Position | undefined }

const looks = oncePer((): Look => ({ followers: 0, timer: undefined, seen: undefined }))

/** While anybody follows, the process looks once a second for events that nothing was told of: those of
 *  certificates, and those that had to wait for an older transaction to end. */
function look(ctx: Context): () => void {
  const shared = looks(ctx)
  if (shared.followers++ === 0) {
    let busy = false
    shared.timer = setInterval(() => {
      if (busy) return
      busy = true
      ringNew(ctx, shared)
        .catch((err: unknown) => ctx.log.warn({ err }, 'events could not be looked for'))
        .finally(() => {
          busy = false
        })
    }, lookMilliseconds)
  }
  return () => {
    if (--shared.followers > 0) return
    clearInterval(shared.timer)
    shared.seen = undefined
  }
}

async function ringNew(ctx: Context, shared: Look): Promise<void> {
  const { xid, seq } = shared.seen ?? (await presentPosition(ctx))
  const present = await presentPosition(ctx)
  const rows = await ctx.db.read.$queryRaw<readonly { readonly tenant: string }[]>(sql`
    select distinct coalesce("tenantId"::text, 'platform') as "tenant" from event
    where ("xid", "seq") > (${xid}::bigint, ${seq}::bigint) and "xid" < ${present.xid}::bigint`)
  shared.seen = present
  for (const { tenant } of rows) ringBell(ctx, 'gatesmith_events', tenant)
}
