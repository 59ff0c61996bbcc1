import { advanceAccount } from '../acme/client/account.ts'
import { revokeAtCa } from '../acme/client/revoke.ts'
import { forgetAcme } from '../acme/forget.ts'
import { advanceOrder } from '../acme/ordering/advance.ts'
import { askRenewals } from '../acme/ordering/renewals.ts'
import { finishOrder } from '../acme/orders/finalize.ts'
import { validateChallenge } from '../acme/validation/validate.ts'
import { linkEvents } from '../audit/chain/link.ts'
import { publishLists } from '../authorities/crl/publish.ts'
import { refreshLists } from '../authorities/crl/stale.ts'
import { advanceRotation, resumeRotations } from '../authorities/rotation/advance.ts'
import { recheckCertificates } from '../certificates/audit/recheck.ts'
import { certifyDueHost } from '../certificates/hosts/certify.ts'
import { reviewTenant } from '../certificates/hosts/review.ts'
import { finishCertificates } from '../certificates/issuance/finish.ts'
import { renewalsDue } from '../certificates/renewal/due.ts'
import { renewDue } from '../certificates/renewal/renew.ts'
import { advanceReplacement, resumeReplacements } from '../certificates/replacement/replace.ts'
import { revokeBlocked, sweepBlocked } from '../certificates/revocation/blocked.ts'
import { checkCluster } from '../clusters/check.ts'
import { inventoriesDue, readForeign } from '../clusters/foreign/read.ts'
import { isSlow } from '../clusters/silence.ts'
import type { Context } from '../core/context.ts'
import { type Due, due, isDueKind, readKey, togetherTasks } from '../core/database/due.ts'
import { confirmPlacement } from '../delivery/proof/confirm.ts'
import { lookAtPlacement, pushPlacement } from '../delivery/push.ts'
import { reconcileTarget } from '../delivery/secrets/reconcile.ts'
import { forgetEvents } from '../events/forget.ts'
import { forgetNotices } from '../notices/forget.ts'
import { sendNotice } from '../notices/sending/send.ts'
import { forwardAudit, forwardsDue } from '../notices/siem/forward.ts'
import { sweepNotices } from '../notices/sweep.ts'
import { forgetOldAnswers } from '../tenants/apikeys/answers.ts'
import { forgetSessions } from '../tenants/sessions/forget.ts'
import { lookAgain, lookAtDeliveries, recheckClusters, resyncPlacements } from './resync.ts'
import { sweepQueue } from './sweep.ts'

/** What is done about each kind of due work: src/core/database/due.ts says what their keys are. */
const actions: {
  readonly [Kind in keyof Due]: (ctx: Context, key: Due[Kind]) => Promise<unknown>
} = {
  'host.certify': (ctx, { hostId }) => certifyDueHost(ctx, hostId),
  'certificate.renew': (ctx, { certificateId }) => renewDue(ctx, certificateId),
  'tenant.review': (ctx, { tenantId }) => reviewTenant(ctx, tenantId),
  'placement.push': pushPlacement,
  'placement.confirm': confirmPlacement,
  'placement.look': lookAtPlacement,
  'delivery.reconcile': reconcileTarget,
  'replacement.advance': (ctx, { replacementId }) => advanceReplacement(ctx, replacementId),
  'authority.rotate': (ctx, { authorityId }) => advanceRotation(ctx, authorityId),
  'authority.publish': (ctx, { keyId }) => publishLists(ctx, keyId),
  'blocked-key.revoke': (ctx, { spkiSha256 }) => revokeBlocked(ctx, spkiSha256),
  'notice.send': sendNotice,
  'acme.validate': (ctx, { challengeId }) => validateChallenge(ctx, challengeId),
  'acme.finish': (ctx, { orderId }) => finishOrder(ctx, orderId),
  'ca.account': (ctx, { authorityId }) => advanceAccount(ctx, authorityId),
  'ca.order': (ctx, { orderId }) => advanceOrder(ctx, orderId),
  'ca.revoke': (ctx, { certificateId }) => revokeAtCa(ctx, certificateId),
  'audit.forward': forwardAudit,
  'cluster.inventory': readForeign,
  'cluster.check': checkCluster,
}

/** The kinds of due work whose keys name a cluster: these alone are done in the slow lane, and only there
 *  for a cluster that did not answer last time. One that is met elsewhere moves there, and holds no slot. */
const clusterKinds = [
  'placement.push',
  'placement.confirm',
  'placement.look',
  'delivery.reconcile',
  'cluster.inventory',
  'cluster.check',
] as const

/** Work by the name of its kind, as the queue calls it: with a key that nobody has read yet. */
export type Work = Readonly<Record<string, (key: unknown) => Promise<unknown>>>

/** What of the due work is done together, and what by itself. */
export function parted(work: Work): { readonly together: Work; readonly alone: Work } {
  const names: readonly string[] = togetherTasks
  const some = (wanted: boolean) =>
    Object.fromEntries(Object.entries(work).filter(([name]) => names.includes(name) === wanted))
  return { together: some(true), alone: some(false) }
}

/** The due work of the main lane. */
export function dueWork(ctx: Context): Work {
  const all = Object.keys(actions).filter(isDueKind)
  return {
    ...Object.fromEntries(all.map((kind) => [kind, (key: unknown) => act(ctx, kind, key)])),
    ...Object.fromEntries(
      clusterKinds.map((kind) => [kind, (key: unknown) => quickly(ctx, kind, key)]),
    ),
  }
}

/** The due work of the slow lane. */
export function slowWork(ctx: Context): Work {
  return Object.fromEntries(
    clusterKinds.map((kind) => [kind, (key: unknown) => act(ctx, kind, key)]),
  )
}

function act<Kind extends keyof Due>(ctx: Context, kind: Kind, key: unknown): Promise<unknown> {
  return actions[kind](ctx, keyOf(kind, key))
}

function keyOf<Kind extends keyof Due>(kind: Kind, key: unknown): Due[Kind] {
  const read = readKey(kind, key)
  if (read === undefined) throw new Error(`a job of ${kind} has a key of another kind`)
  return read
}

async function quickly<Kind extends (typeof clusterKinds)[number]>(
  ctx: Context,
  kind: Kind,
  key: unknown,
): Promise<void> {
  const read = keyOf(kind, key)
  if (await isSlow(ctx, { task: kind, clusterId: read.clusterId })) {
    await ctx.db.transaction((tx) => due(tx, kind, read, null, 'slow'))
  } else await act(ctx, kind, read)
}

/** When what is looked at again and again, as a net below the due work. */
export const schedule = {
  'certificates.finish': '* * * * *',
  'certificates.renew': '* * * * *',
  'ca.renewals': '*/2 * * * *',
  'blocked-keys.sweep': '*/5 * * * *',
  'placements.resync': '*/5 * * * *',
  'placements.look': '* * * * *',
  'deliveries.look': '* * * * *',
  'clusters.check': '* * * * *',
  'clusters.inventory': '*/5 * * * *',
  'certificates.recheck': '17 2 * * *',
  'rotations.resume': '*/5 * * * *',
  'replacements.resume': '*/5 * * * *',
  'lists.refresh': '*/5 * * * *',
  'audit.link': '* * * * *',
  'answers.forget': '7 * * * *',
  'sessions.forget': '9 * * * *',
  'events.forget': '12 * * * *',
  'acme.forget': '27 * * * *',
  'notices.sweep': '* * * * *',
  'notices.forget': '22 * * * *',
  'queue.sweep': '* * * * *',
} as const

/** What is done at each of those times. */
export type Periodic = Readonly<Record<keyof typeof schedule, () => Promise<unknown>>>

/** What is done at each of those times. */
export function periodicWork(ctx: Context): Periodic {
  return {
    'certificates.finish': () => finishCertificates(ctx),
    'certificates.renew': () => renewalsDue(ctx),
    'ca.renewals': () => askRenewals(ctx),
    'blocked-keys.sweep': () => sweepBlocked(ctx),
    'placements.resync': () => resyncPlacements(ctx),
    'placements.look': () => lookAgain(ctx),
    'deliveries.look': () => lookAtDeliveries(ctx),
    'clusters.check': () => recheckClusters(ctx),
    'clusters.inventory': () => inventoriesDue(ctx),
    'certificates.recheck': () => recheckCertificates(ctx),
    'rotations.resume': () => resumeRotations(ctx),
    'replacements.resume': () => resumeReplacements(ctx),
    'lists.refresh': () => refreshLists(ctx),
    'audit.link': async () => {
      await linkEvents(ctx)
      await forwardsDue(ctx)
    },
    'answers.forget': () => forgetOldAnswers(ctx),
    'sessions.forget': () => forgetSessions(ctx),
    'events.forget': () => forgetEvents(ctx),
    'acme.forget': () => forgetAcme(ctx),
    'notices.sweep': () => sweepNotices(ctx),
    'notices.forget': () => forgetNotices(ctx),
    'queue.sweep': () => sweepQueue(ctx, Object.keys(schedule)),
  }
}
