import { linkedEvents } from '../../audit/find.ts'
import type { Context } from '../../core/context.ts'
import { type Due, due } from '../../core/database/due.ts'
import { webhookMessage } from '../../core/outgoing/webhook.ts'
import type { Siem } from '../../core/settings/sending.ts'
import { minute } from '../../shared/moment.ts'
import { timestamp } from '../../shared/view.ts'
import { type Posted, post } from '../sending/post.ts'
import { sendSyslog } from './syslog.ts'

type Kind = Due['audit.forward']['kind']

/** What goes at once at most. One event alone may be longer. */
const most = { events: 200, bytes: 1024 * 1024 }
/** Then others have their turn. */
const mostTurns = 50
const pauses = [1_000, 5_000, 15_000, minute, 5 * minute]

/** Has forwarding done where a SIEM is set, and there is something that it was not told. */
export async function forwardsDue(ctx: Context): Promise<void> {
  const { siem = {} } = ctx.config
  for (const kind of ['webhook', 'syslog'] as const) {
    if (siem[kind] === undefined) continue
    const next = await nextOf(ctx, kind)
    const { end } = await linkedEvents(ctx, next, 1)
    if (end > next) await ctx.db.transaction((tx) => due(tx, 'audit.forward', { kind }))
  }
}

async function nextOf(ctx: Context, kind: Kind): Promise<bigint> {
  const row = await ctx.db.read.auditForward.findUnique({ where: { kind } })
  return row?.next ?? 0n
}

/** Tells a SIEM what it was not told of the audit trail, from the first event on, in the order in which events were
 *  linked. How far it is told is stored after each batch that was taken: one that a worker was killed over
 *  is sent again, whole and with what was linked since. One that is not taken is tried again, at the latest
 *  after five minutes, and nothing after it is sent before. */
export async function forwardAudit(ctx: Context, { kind }: Due['audit.forward']): Promise<void> {
  const { siem = {} } = ctx.config
  const target = siem[kind]?.url
  // A worker that was not told of it yet.
  if (target === undefined) return
  const where = { kind }
  const shown = target.replace(/(?<=^\w+:\/\/[^/]+)\/.*/, '')
  const state = await ctx.db.transaction((tx) =>
    tx.auditForward.upsert({
      where,
      create: { kind, target: shown },
      update: { target: shown },
    }),
  )
  if (state.retryAt && state.retryAt > ctx.now()) return later(ctx, kind, state.retryAt)
  let { next, failures } = state
  for (let turn = 0; turn < mostTurns; turn++) {
    const { events, end } = within(await linkedEvents(ctx, next, most.events))
    if (end === next) return
    const { error } =
      events.length === 0 ? { error: null } : await send(ctx, siem, { kind, events, next, end })
    const now = ctx.now()
    if (error !== null) {
      const retryAt = new Date(now.getTime() + (pauses[Math.min(failures, pauses.length - 1)] ?? 0))
      failures++
      ctx.log.warn({ kind, failures, reason: error }, 'the audit trail was not taken by the SIEM')
      return ctx.db.transaction(async (tx) => {
        await tx.auditForward.update({ where, data: { failures, error, retryAt } })
        await due(tx, 'audit.forward', { kind }, retryAt)
      })
    }
    // Another worker that was thought dead may have come further.
    await ctx.db.transaction((tx) =>
      tx.auditForward.updateMany({
        where: { kind, next: { lt: end } },
        data: { next: end, failures: 0, error: null, retryAt: null, forwardedAt: now },
      }),
    )
    next = end
    failures = 0
  }
  return later(ctx, kind, null)
}

function later(ctx: Context, kind: Kind, at: Date | null): Promise<void> {
  return ctx.db.transaction((tx) => due(tx, 'audit.forward', { kind }, at))
}

type Linked = Awaited<ReturnType<typeof linkedEvents>>

/** As many of the first as go at once. */
function within({ events, end }: Linked): Linked {
  let bytes = 0
  const over = events.findIndex((event) => {
    bytes += Buffer.byteLength(JSON.stringify(event))
    return bytes > most.bytes
  })
  const left = events[Math.max(1, over)]
  return over < 0 || !left
    ? { events, end }
    : { events: events.slice(0, Math.max(1, over)), end: BigInt(left.chain?.index ?? end) }
}

type Batch = Linked & { readonly kind: Kind; readonly next: bigint }

/** The id of a batch tells which events are in it: one that holds more than another has another id, so that
 *  who takes each id once loses nothing. */
function send(ctx: Context, siem: Siem, { kind, events, next, end }: Batch): Promise<Posted> {
  if (kind === 'syslog' && siem.syslog) return sendSyslog(ctx.config, siem.syslog, events)
  const { url = '', secret = '' } = siem.webhook ?? {}
  const at = ctx.now()
  const payload = { type: 'audit.events', timestamp: timestamp(at), data: { events } }
  const id = `audit_${next}_${end}`
  return post(ctx.config, url, webhookMessage(payload, { id, at, secrets: [secret] }))
}
