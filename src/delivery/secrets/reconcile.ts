import { record } from '../../audit/record.ts'
import { getTrustBundle } from '../../authorities/trust/bundle.ts'
import { kinds } from '../../clusters/kubernetes/kinds.ts'
import { isAway, type Kube, KubeError, type KubeObject } from '../../clusters/kubernetes/kube.ts'
import { openCluster } from '../../clusters/kubernetes/open.ts'
import { noteAnswered, noteUnanswered, silenceOf } from '../../clusters/silence.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { type LineMember, newestInLine } from '../../hosts/certificates/line.ts'
import { blockedSentence } from '../../hosts/certificates/uploaded.ts'
import { must } from '../../shared/must.ts'
import { Problem } from '../../shared/problem.ts'
import { pemOf } from '../pairs/pem.ts'
import { matches } from '../plan.ts'
import { labels, manager } from '../renderer.ts'
import { keystoresAsked } from './find.ts'
import { keystoresOf, passwordOf } from './keystores.ts'
import { restart } from './restart.ts'

const actor = systemActor('delivery.reconcile')

/** Which delivery a Secret is of. */
const deliveryLabel = 'gatesmith.dev/delivery-id'

type Target = NonNullable<Awaited<ReturnType<typeof readTarget>>>

function readTarget(tx: Tx, id: string) {
  return tx.deliveryTarget.findUnique({
    where: { id },
    include: {
      cluster: true,
      delivery: { include: { tenant: { select: { name: true, namespaces: true } } } },
    },
  })
}

/** Brings a Secret on a cluster to what is wanted, and says how that went: the newest certificate of its
 *  line is there and was read back, or, where it is to go, nothing is. Driven by what is stored alone. Throws
 *  when the cluster cannot be asked just now, after storing that, so that the queue tries again. */
export async function reconcileTarget(
  ctx: Context,
  { targetId }: { readonly targetId: string },
): Promise<void> {
  const target = await readTarget(ctx.db.read, targetId)
  if (!target) return
  const silence = silenceOf(target.cluster)
  // Its check makes this due when it answers.
  if (silence !== null) return settle(ctx, target, { status: 'Failed', message: silence })
  try {
    const kube = await openCluster(ctx, target.clusterId)
    if (target.wanted) await settle(ctx, target, await bring(ctx, kube, target))
    else {
      await take(kube, target)
      await forget(ctx, target)
    }
    await noteAnswered(ctx, target.cluster)
  } catch (error) {
    if (!(error instanceof KubeError) && !(error instanceof Problem)) throw error
    const { message } = error
    const passing = error instanceof KubeError && isAway(error)
    await settle(ctx, target, { status: 'Failed', message, again: !passing })
    if (error instanceof KubeError && error.fault === 'unreachable') {
      await noteUnanswered(ctx, target.clusterId)
    }
    if (passing) throw error
  }
}

type Outcome = {
  readonly status: 'Pending' | 'Synced' | 'Failed' | 'Conflict'
  readonly message: string | null
  /** Look again in a minute. */
  readonly again?: boolean
  readonly certificate?: LineMember
  /** What was done, for the audit trail. */
  readonly done?: 'delivered' | 'repaired'
  readonly restarted?: string | null
}

async function bring(ctx: Context, kube: Kube, target: Target): Promise<Outcome> {
  const { delivery, namespace, secretName } = target
  if (!delivery.tenant.namespaces.includes(namespace)) {
    const message = `Namespace "${namespace}" is not one of the tenant's any more: nothing is delivered there`
    return { status: 'Failed', message, again: true }
  }
  const newest = must(
    await newestInLine(ctx.db.read, delivery.certificateId),
    'a delivery has a certificate',
  )
  if (newest.status === 'signing' || newest.der === null) {
    return { status: 'Pending', message: 'Waiting for its certificate', again: true }
  }
  if (newest.status === 'revoked') {
    const message = 'Its certificate was revoked, and nothing has taken its place: renew it'
    return { status: 'Failed', message, again: true }
  }
  if (newest.uploaded !== '' && newest.keyBlockedSince !== null) {
    return { status: 'Failed', message: blockedSentence(newest.keyBlockedSince), again: true }
  }
  const ref = { ...kinds.secret, namespace, name: secretName }
  const found = await kube.get(ref)
  const wanted = await secretOf(ctx, kube, { target, newest, found })
  // The Secret stays whole: with no stores at all nothing would start.
  if ('fault' in wanted) return { status: 'Failed', message: wanted.fault, again: true }
  if (found && !isOurs(found, delivery.id)) {
    const message = `Secret ${namespace}/${secretName} exists and was not made for this delivery; remove it, or ask for another name`
    return { status: 'Conflict', message, again: true }
  }
  const same = found !== undefined && matches(wanted, found)
  if (!same) await kube.apply(wanted, { force: true })
  const there = same ? found : await kube.get(ref)
  if (!there || !matches(wanted, there)) {
    const message = `Secret ${namespace}/${secretName} was another one right after it was applied: somebody else writes it`
    return { status: 'Failed', message, again: true }
  }
  const { rolledOut, fault } = await restart(kube, {
    namespace,
    deployment: delivery.deployment,
    serial: newest.serial,
  })
  const isNew = target.certificateId !== newest.id
  const message = fault ?? expiryOf(newest, ctx.now())
  return {
    status: message === null ? 'Synced' : 'Failed',
    message,
    again: message !== null,
    certificate: newest,
    ...(rolledOut ? { restarted: delivery.deployment } : {}),
    ...(isNew ? { done: 'delivered' } : same ? {} : { done: 'repaired' }),
  }
}

function expiryOf({ notAfter }: LineMember, now: Date): string | null {
  return notAfter < now ? `Its certificate ended at ${notAfter.toISOString()}` : null
}

/** The Secret as it is wanted, or why it cannot be made. */
async function secretOf(
  ctx: Context,
  kube: Kube,
  {
    target: { delivery, namespace, secretName },
    newest,
    found,
  }: {
    readonly target: Target
    readonly newest: LineMember
    readonly found: KubeObject | undefined
  },
): Promise<KubeObject | { readonly fault: string }> {
  const pair = await pemOf(ctx, newest)
  const { serial, chain, key } = pair
  const { authority, anchorPem } = newest
  const trust = authority === null ? (anchorPem ?? '') : await getTrustBundle(ctx, authority)
  const keystores = keystoresAsked(delivery)
  const password = keystores && (await passwordOf(ctx, kube, { keystores, namespace, found }))
  if (password && 'fault' in password) return password
  const { tenantId, name: alias } = delivery
  const stores = password && (await keystoresOf(ctx, { tenantId, alias, pair, trust }, password))
  const data = { 'tls.crt': chain, 'tls.key': key, 'ca.crt': trust, ...stores }
  const encoded = Object.entries(data).map(([name, value]) => [
    name,
    Buffer.from(value).toString('base64'),
  ])
  return {
    ...kinds.secret,
    metadata: {
      name: secretName,
      namespace,
      labels: {
        [labels.managedBy]: manager,
        [labels.tenant]: delivery.tenant.name,
        [deliveryLabel]: delivery.id,
      },
      annotations: { 'gatesmith.dev/certificate': serial, 'gatesmith.dev/delivery': delivery.name },
    },
    type: 'kubernetes.io/tls',
    data: Object.fromEntries(encoded),
  }
}

function isOurs({ metadata: { labels: found = {} } }: KubeObject, deliveryId: string): boolean {
  return found[labels.managedBy] === manager && found[deliveryLabel] === deliveryId
}

/** One of others under that name is none of ours to take. */
async function take(kube: Kube, { deliveryId, namespace, secretName }: Target): Promise<void> {
  const ref = { ...kinds.secret, namespace, name: secretName }
  const found = await kube.get(ref)
  if (found && isOurs(found, deliveryId)) await kube.remove(ref)
}

/** Stores how it went, unless the target is wanted otherwise by now. */
async function settle(ctx: Context, target: Target, outcome: Outcome): Promise<void> {
  const now = ctx.now()
  const { status, message, again = false, certificate, done, restarted } = outcome
  await ctx.db.transaction(async (tx) => {
    const before = await hold(tx, target)
    if (!before) return
    await tx.deliveryTarget.update({
      where: { id: target.id },
      data: {
        status,
        message: message?.slice(0, 2000) ?? null,
        ...(status === before.status ? {} : { since: now }),
        ...(certificate ? { certificateId: certificate.id, syncedAt: now } : {}),
      },
    })
    const { id, name, tenantId } = target.delivery
    if (certificate) {
      await tx.delivery.update({ where: { id }, data: { certificateId: certificate.id } })
    }
    if (done || restarted) {
      await record(tx, { actor, now }, `delivery.${done ?? 'restarted'}`, {
        subject: { kind: 'delivery', id, name, tenantId },
        changes: {
          cluster: target.cluster.name,
          secret: `${target.namespace}/${target.secretName}`,
          serial: certificate?.serial,
          restarted: restarted ?? undefined,
        },
      })
    }
    if (!again) return
    const key = { targetId: target.id, clusterId: target.clusterId }
    await due(tx, 'delivery.reconcile', key, new Date(now.getTime() + 60_000))
  })
}

/** Holds the target; undefined when it was changed since it was read. */
async function hold(tx: Tx, { id, wanted, delivery }: Target) {
  await tx.$executeRaw(sql`select 1 from delivery where id = ${delivery.id}::uuid for update`)
  return tx.deliveryTarget.findFirst({
    where: { id, wanted, delivery: { updatedAt: delivery.updatedAt } },
    select: { status: true },
  })
}

async function forget(ctx: Context, target: Target): Promise<void> {
  const now = ctx.now()
  const { id, name, tenantId } = target.delivery
  await ctx.db.transaction(async (tx) => {
    if (!(await hold(tx, target))) return
    await tx.deliveryTarget.delete({ where: { id: target.id } })
    await record(tx, { actor, now }, 'delivery.withdrawn', {
      subject: { kind: 'delivery', id, name, tenantId },
      changes: {
        cluster: target.cluster.name,
        secret: `${target.namespace}/${target.secretName}`,
      },
    })
    await tx.delivery.deleteMany({ where: { id, removedAt: { not: null }, targets: { none: {} } } })
  })
}
