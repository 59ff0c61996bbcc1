import type { Actor } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { json } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { oncePer } from '../../core/onceper.ts'
import { type Message, webhookMessage } from '../../core/outgoing/webhook.ts'
import { seatsOf } from '../../core/seats.ts'
import { day, hour } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { shownJson, timestamp } from '../../shared/view.ts'
import { accessReceivers, type ReceiverRef, receiverRow } from '../find.ts'
import { type Attempt, Notice, type Payload } from '../receiver.ts'
import { type Secrets, secretsOf, signing } from '../secrets.ts'
import { mail } from './mail.ts'
import { pagerDutyMessage, slackMessage } from './messages.ts'
import { type Posted, post } from './post.ts'

/** The pauses after failures of a receiver in a row; the last one stays. */
const minute = 60_000
const pauses = [5_000, 30_000, 2 * minute, 5 * minute, 15 * minute, hour, 3 * hour, 6 * hour]
/** After so many tries, or so long, a notice is put with the dead letters. */
const mostTries = 10
const patience = 3 * day

/** Sends a notice that is due. Whatever comes of it is recorded after it was sent: a worker that is killed in
 *  between sends it again, under the same id. A receiver that takes nothing is left alone for longer and
 *  longer, whatever there is for it. */
export async function sendNotice(
  ctx: Context,
  { noticeId, receiverId }: { readonly noticeId: string; readonly receiverId: string },
): Promise<void> {
  const row = await ctx.db.read.notice.findUnique({
    where: { id: noticeId, status: 'pending' },
    include: { receiver: true },
  })
  if (!row) return
  const { receiver } = row
  const now = ctx.now()
  if (receiver.retryAt && receiver.retryAt > now && !isOld(row, now)) {
    await later(ctx, { noticeId, receiverId }, receiver.retryAt)
    return
  }
  const secrets = await secretsOf(ctx, ctx.db.read, receiverId)
  const payload = shownPayload(row.payload)
  const posted = await sendTo(ctx, { receiver, secrets }, { id: noticeId, payload })
  const failed = posted.error !== null
  const tries = row.tries + 1
  const dead = failed && (tries >= mostTries || posted.answer === 410 || isOld(row, now))
  const pause = pauses[Math.min(receiver.failures, pauses.length - 1)] ?? 0
  const retryAt = failed ? new Date(ctx.now().getTime() + pause) : null
  const attempts = [...shownJson(Notice.properties.attempts, row.attempts), attemptOf(now, posted)]
  await ctx.db.transaction(async (tx) => {
    await tx.notice.updateMany({
      where: { id: noticeId },
      data: {
        tries,
        attempts: json(attempts.slice(-10)),
        status: dead ? 'dead' : failed ? 'pending' : 'sent',
      },
    })
    await tx.receiver.updateMany({
      where: { id: receiverId },
      data: { failures: failed ? { increment: 1 } : 0, retryAt },
    })
    if (failed && !dead) await due(tx, 'notice.send', { noticeId, receiverId }, retryAt)
  })
  if (dead) ctx.log.warn({ receiverId, noticeId, answer: posted.answer }, 'a notice was given up')
}

function later(
  ctx: Context,
  key: { readonly noticeId: string; readonly receiverId: string },
  at: Date,
): Promise<void> {
  return ctx.db.transaction((tx) => due(tx, 'notice.send', key, at))
}

function isOld({ dueAt }: { readonly dueAt: Date }, now: Date): boolean {
  return now.getTime() - dueAt.getTime() > patience
}

function attemptOf(at: Date, { answer, error }: Posted): Attempt {
  return { at: timestamp(at), answer, error }
}

function shownPayload(stored: unknown): Payload {
  return JSON.parse(JSON.stringify(stored))
}

type To = {
  readonly receiver: { readonly kind: string; readonly target: string }
  readonly secrets: Secrets
}

function sendTo(
  ctx: Context,
  { receiver, secrets }: To,
  { id, payload }: { readonly id: string; readonly payload: Payload },
): Promise<Posted> {
  const { kind, target } = receiver
  if (kind === 'email') return mail(ctx.config, { to: target, id, payload })
  return post(
    ctx.config,
    secrets.url ?? `${target}/v2/enqueue`,
    messageOf(ctx, kind, { secrets, id, payload }),
  )
}

function messageOf(
  ctx: Context,
  kind: string,
  { secrets, id, payload }: { readonly secrets: Secrets; id: string; payload: Payload },
): Message {
  if (kind === 'slack') return slackMessage(payload)
  if (kind === 'pagerduty') {
    return pagerDutyMessage(payload, {
      routingKey: secrets.routingKey ?? '',
      source: ctx.config.publicUrl,
    })
  }
  const at = ctx.now()
  return webhookMessage(payload, { id: `msg_${id}`, at, secrets: signing(secrets, at) })
}

/** So many tests at once, and of one receiver. */
const tests = oncePer(() => seatsOf({ all: 20, each: 1 }))

/** Sends a test notice now, and answers what came of it; it is recorded nowhere. Throws receiver-unknown, busy. */
export async function testReceiver(
  ctx: Context,
  actor: Actor,
  { tenant, name }: ReceiverRef,
): Promise<Attempt> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'write-notices')
  const receiver = await receiverRow(ctx.db.read, { tenantId, name })
  const leave = tests(ctx).take(receiver.id)
  if (!leave) throw new Problem('busy', 'Tests are under way already: try again in some seconds')
  try {
    const now = ctx.now()
    const secrets = await secretsOf(ctx, ctx.db.read, receiver.id)
    const subject = { kind: 'receiver', id: receiver.id, name }
    const summary = `This is a test: notices reach "${name}"`
    const payload: Payload = {
      type: 'test',
      timestamp: timestamp(now),
      data: { tenant, subject, summary },
    }
    return attemptOf(now, await sendTo(ctx, { receiver, secrets }, { id: newId(now), payload }))
  } finally {
    leave()
  }
}
