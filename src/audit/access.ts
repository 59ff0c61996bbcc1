import type { Actor } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { oncePer } from '../core/onceper.ts'
import { minute } from '../shared/moment.ts'
import { addressOf, subscriberOf } from './address.ts'
import { type Author, type NewEvent, recordAll } from './record.ts'
import { type Counted, openTally, type Tally } from './tally.ts'

/** A request as far as the trail tells of it when it is refused. */
export type RefusedRequest = {
  /** Undefined: it did not get as far as to say who asks. */
  readonly actor: Actor | undefined
  readonly requestId: string
  /** As the socket has it, or a proxy that is trusted. */
  readonly address: string
  readonly method: string
  /** The pattern: what was asked for may hold a secret. */
  readonly route: string
  /** The type of the problem. */
  readonly reason: string
}

/** How often what goes on is told again. */
const interval = 10 * minute

/** So many pairs of credentials or address and reason are told by themselves in an interval: of those who
 *  said not who they are, and of each tenant. All others are told together. */
const mostOfNobody = 500
const mostOfOne = 100

const nobody: Author = { kind: 'anonymous', id: null, name: 'anonymous', requestId: null }

type Told = Omit<NewEvent, 'now'>

type Trail = {
  readonly tally: Tally<Told>
  /** Who signed in from where, as far as this process remembers. */
  readonly known: Set<string>
  writing: Promise<void>
  /** One writes, and one more waits, which takes all there is then. */
  waiting: boolean
  /** After a failure nothing is written for a while, however much there is. */
  pausedUntil: number
}

const trails = oncePer(
  (): Trail => ({
    tally: openTally(interval, (group) => (group === nobody.name ? mostOfNobody : mostOfOne)),
    known: new Set(),
    writing: Promise.resolve(),
    waiting: false,
    pausedUntil: 0,
  }),
)

/** Has it recorded that a request was refused: the first at once, and those that follow of the same
 *  credentials, address and reason together, as `count`, every ten minutes. Nobody waits for it. */
export function noteRefusal(ctx: Context, attempt: RefusedRequest): void {
  const { actor, requestId, method, route, reason } = attempt
  note(ctx, attempt, {
    action: 'access.refused',
    actor: actor ?? { ...nobody, requestId },
    changes: { reason, method, route },
  })
}

const mostKnown = 10_000
const pauseMilliseconds = 10_000

/** Has it recorded when credentials are used from an address for the first time, whichever process saw it.
 *  Nobody waits for it. */
export function noteSignIn(ctx: Context, actor: Actor, address: string): void {
  const { known } = trails(ctx)
  const key = JSON.stringify([actor.kind, actor.id, subscriberOf(address)])
  if (known.has(key)) return
  const [oldest] = known
  if (known.size >= mostKnown && oldest !== undefined) known.delete(oldest)
  known.add(key)
  note(ctx, { actor, address }, { action: 'access.signed-in', actor, changes: {} })
}

/** Of the rest of a group no credentials, address and route are told. */
function note(
  ctx: Context,
  { actor, address }: Pick<RefusedRequest, 'actor' | 'address'>,
  told: Omit<Told, 'subject'>,
): void {
  const { reason = null } = told.changes
  const tenantId = actor?.tenantId ?? null
  const group = actor ? (tenantId ?? 'platform') : nobody.name
  const from = (name: string) => ({ kind: 'address', id: name, name, tenantId }) as const
  const rest = { action: told.action, actor: nobody, changes: reason === null ? {} : { reason } }
  const counting = {
    group,
    key: JSON.stringify([told.action, reason, group, told.actor.id, subscriberOf(address)]),
    item: { ...told, subject: from(addressOf(address)) },
    rest: {
      key: JSON.stringify([told.action, reason, group]),
      item: { ...rest, subject: from('others') },
    },
  }
  if (trails(ctx).tally.add(counting, ctx.now())) writeSoon(ctx)
}

/** Has what repeats written when its interval is over. Answers what writes the rest and ends that. */
export function keepAccess(ctx: Context): () => Promise<void> {
  const again = setInterval(() => writeSoon(ctx), interval / 20)
  again.unref()
  return () => {
    clearInterval(again)
    return writeSoon(ctx, true)
  }
}

/** One after the other, or two would write the same. */
function writeSoon(ctx: Context, all = false): Promise<void> {
  const trail = trails(ctx)
  if (!all && (trail.waiting || performance.now() < trail.pausedUntil)) return trail.writing
  trail.waiting = true
  trail.writing = trail.writing.then(() => {
    trail.waiting = false
    return writeSome(ctx, trail, trail.tally.take(ctx.now(), all))
  })
  return trail.writing
}

async function writeSome(ctx: Context, trail: Trail, counted: readonly Counted<Told>[]) {
  if (counted.length === 0) return
  try {
    await ctx.db.transaction((tx) => write(tx, ctx.now(), counted))
  } catch (err) {
    trail.tally.restore(counted)
    trail.pausedUntil = performance.now() + pauseMilliseconds
    ctx.log.warn({ err }, 'who was refused or signed in could not be recorded yet')
  }
}

async function write(tx: Tx, now: Date, counted: readonly Counted<Told>[]): Promise<void> {
  const before = await signedInBefore(tx, counted)
  const entries = counted
    .filter(({ item }) => !before.has(placeOf(item)))
    .map(({ item, count, since }) => ({
      ...item,
      now,
      changes: { ...item.changes, count, ...(count > 1 ? { since: since.toISOString() } : {}) },
    }))
  if (entries.length > 0) await recordAll(tx, entries)
}

const lockKey = 0x5165

/** Who of these signed in before from where; until the transaction ends no other process finds out the same. */
async function signedInBefore(
  tx: Tx,
  counted: readonly Counted<Told>[],
): Promise<ReadonlySet<string>> {
  const asked = counted.flatMap(({ item: { action, actor, subject } }) =>
    action === 'access.signed-in' && actor.id !== null ? [{ id: actor.id, from: subject.id }] : [],
  )
  if (asked.length === 0) return new Set()
  await tx.$executeRaw(sql`select pg_advisory_xact_lock(${lockKey}::int, 0)`)
  const ids = asked.map(({ id }) => id)
  const from = asked.map((each) => each.from)
  const rows = await tx.$queryRaw<readonly { id: string; from: string }[]>(sql`
    select asked.id, asked.source as "from"
    from unnest(${ids}::text[], ${from}::text[]) as asked (id, source)
    where exists (select from audit_event where "action" = 'access.signed-in'
      and "subjectKind" = 'address' and "subjectId" = asked.source and "actorId" = asked.id)`)
  return new Set(rows.map(({ id, from }) => JSON.stringify(['access.signed-in', id, from])))
}

function placeOf({ action, actor, subject }: Told): string {
  return JSON.stringify([action, actor.id, subject.id])
}
