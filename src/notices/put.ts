import { record } from '../audit/record.ts'
import { urlFault } from '../clusters/outgoing.ts'
import type { Actor } from '../core/actor.ts'
import type { Config } from '../core/config.ts'
import { type Context, newId } from '../core/context.ts'
import { bytes, sql, type Tx } from '../core/database/db.ts'
import type { Precondition } from '../core/refusal.ts'
import { Problem, refuse, type Violation } from '../shared/problem.ts'
import {
  accessReceivers,
  findReceiver,
  type ReceiverRef,
  receiverRow,
  receiverView,
} from './find.ts'
import { noticeTypes, type Receiver, type ReceiverSpec } from './receiver.ts'
import { newSecret, type Secrets, sealSecrets, secretsOf } from './secrets.ts'
import { noticeReach } from './sending/post.ts'

const most = 20

/** Makes the receiver what is asked for. A new webhook's signing secret is in this answer and nowhere else. Throws
 *  tenant-unknown, forbidden, receiver-refused, quota-exceeded, and precondition-failed where it is not as expected. */
export async function putReceiver(
  ctx: Context,
  actor: Actor,
  { tenant, name, spec }: ReceiverRef & { readonly spec: ReceiverSpec },
  expected?: Precondition,
): Promise<{ readonly receiver: Receiver; readonly created: boolean }> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'write-notices')
  refuse('receiver-refused', faults(spec, ctx.config))
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    await tx.$executeRaw(
      sql`select pg_advisory_xact_lock(hashtextextended(${`receivers/${tenantId}`}, 0))`,
    )
    const before = await findReceiver(tx, { tenantId, name })
    expected?.(before && receiverView(before))
    if (!before) await refuseMany(tx, tenantId)
    const id = before?.id ?? newId(now)
    const fields = {
      kind: spec.kind,
      target: targetOf(spec),
      events: spec.events ?? [...noticeTypes],
      updatedAt: now,
      failures: 0,
      retryAt: null,
    }
    const known = before ? await secretsOf(ctx, tx, id) : undefined
    const secret = spec.kind === 'webhook' && !known?.secret ? newSecret(ctx) : undefined
    if (before) await tx.receiver.update({ where: { id }, data: fields })
    else await tx.receiver.create({ data: { ...fields, id, tenantId, name, createdAt: now } })
    await keep(ctx, tx, id, {
      ...(spec.kind === 'webhook'
        ? { secret: secret ?? known?.secret, former: known?.former }
        : {}),
      url: spec.url,
      routingKey: spec.routingKey,
    })
    await record(tx, { actor, now }, before ? 'receiver.changed' : 'receiver.created', {
      subject: { kind: 'receiver', id, name, tenantId },
      changes: { kind: spec.kind, target: fields.target, events: fields.events },
    })
    const receiver = receiverView(await receiverRow(tx, { tenantId, name }))
    return { receiver: { ...receiver, ...(secret && { secret }) }, created: !before }
  })
}

async function refuseMany(tx: Tx, tenantId: string | null): Promise<void> {
  if ((await tx.receiver.count({ where: { tenantId } })) < most) return
  throw new Problem('quota-exceeded', `There are ${most} receivers already: remove one first`)
}

/** The secrets of this receiver, sealed. */
async function keep(ctx: Context, tx: Tx, id: string, secrets: Secrets): Promise<void> {
  const sealed = bytes(sealSecrets(ctx, id, secrets))
  await tx.receiverSecret.upsert({
    where: { receiverId: id },
    update: { sealed },
    create: { receiverId: id, sealed },
  })
}

/** Signs with another secret from now on, and with the one before for a day more. Answers it, once. Throws
 *  receiver-unknown, and receiver-refused for what is not signed. */
export async function rotateSecret(
  ctx: Context,
  actor: Actor,
  { tenant, name }: ReceiverRef,
): Promise<{ readonly secret: string }> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'write-notices')
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const { id, kind } = await receiverRow(tx, { tenantId, name })
    if (kind !== 'webhook') throw new Problem('receiver-refused', `A ${kind} is not signed`)
    await tx.$executeRaw(
      sql`select 1 from receiver_secret where "receiverId" = ${id}::uuid for update`,
    )
    const known = await secretsOf(ctx, tx, id)
    const secret = newSecret(ctx)
    const former =
      known.secret === undefined ? undefined : { secret: known.secret, since: now.toISOString() }
    await keep(ctx, tx, id, { ...known, secret, former })
    await record(tx, { actor, now }, 'receiver.secret-rotated', {
      subject: { kind: 'receiver', id, name, tenantId },
      changes: {},
    })
    return { secret }
  })
}

/** Removes a receiver with what it was told. Throws receiver-unknown. */
export async function removeReceiver(
  ctx: Context,
  actor: Actor,
  { tenant, name }: ReceiverRef,
): Promise<void> {
  const tenantId = await accessReceivers(ctx, actor, tenant, 'write-notices')
  await ctx.db.transaction(async (tx) => {
    const { id, kind } = await receiverRow(tx, { tenantId, name })
    await tx.receiver.deleteMany({ where: { id } })
    await record(tx, { actor, now: ctx.now() }, 'receiver.removed', {
      subject: { kind: 'receiver', id, name, tenantId },
      changes: { kind },
    })
  })
}

/** Which members each kind has; those with ? may be left out. */
const members = {
  webhook: ['url'],
  slack: ['url'],
  pagerduty: ['routingKey', 'url?'],
  email: ['to'],
} as const

function faults(spec: ReceiverSpec, config: Config): readonly Violation[] {
  const known: readonly string[] = members[spec.kind]
  const given = new Map<string, unknown>(Object.entries(spec))
  const missing = known
    .filter((name) => !name.endsWith('?') && !given.has(name))
    .map((name) => ({ field: `/${name}`, message: `A ${spec.kind} needs ${name}` }))
  const strange = ['url', 'routingKey', 'to']
    .filter((name) => given.has(name) && !known.includes(name) && !known.includes(`${name}?`))
    .map((name) => ({ field: `/${name}`, message: `A ${spec.kind} has no ${name}` }))
  const url = spec.url === undefined ? undefined : wrongUrl(config, spec.url)
  return [
    ...missing,
    ...strange,
    ...(url === undefined ? [] : [{ field: '/url', message: url }]),
    ...(spec.kind === 'email' && !config.smtp
      ? [{ field: '/kind', message: 'No mail is sent from here: see GATESMITH_SMTP_URL' }]
      : []),
  ]
}

function wrongUrl(config: Config, url: string): string | undefined {
  return URL.canParse(url) ? urlFault(noticeReach(config), url) : 'url is no URL'
}

/** PagerDuty's own. */
const pagerDuty = 'https://events.pagerduty.com/v2/enqueue'

/** What may be shown of where it is. */
function targetOf({ kind, url, to }: ReceiverSpec): string {
  if (kind === 'email') return (to ?? []).join(', ')
  return new URL(url ?? pagerDuty).origin
}
