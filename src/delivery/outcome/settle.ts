import { isDeepStrictEqual } from 'node:util'
import Type from 'typebox'
import { placeText } from '../../clusters/cluster.ts'
import type { Context } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { specOf } from '../../hosts/find.ts'
import { Condition, type PlacementStatus, type ServedSpecs } from '../../hosts/host.ts'
import { hostLock, lock } from '../../hosts/lock.ts'
import { type RecordedObject, recordOf } from '../../hosts/objects.ts'
import { shownJson, timestamp } from '../../shared/view.ts'
import type { ObjectDrift } from '../drift/difference.ts'
import type { Decision } from '../drift/policy.ts'
import type { PlacementRow } from '../gather.ts'
import type { Seen } from '../observe.ts'
import { nameOf } from '../plan.ts'
import { noteWaiting, waitUntil } from '../proof/pace.ts'
import { dueNext, store } from './store.ts'

/** How a push or its proof ended. */
export type Outcome = {
  readonly status: PlacementStatus
  readonly message: string | null
  /** Nothing was sent, since the cluster is silent. */
  readonly silent?: boolean
  /** The ingress is seen not to do what is asked. */
  readonly unproved?: boolean
  /** What the proof could not show. */
  readonly proofWarnings?: readonly string[]
  /** Until when what was seen can hold, see footingOf. */
  readonly until?: Date
  /** Push again after so many seconds. */
  readonly againAfterSeconds?: number
}

/** What was seen right after a change may still be what was there before, where the certificate stayed
 *  the same: istiod may gather changes for ten seconds (istio.md 1.6). In milliseconds. */
export const propagation = 15_000

/** Stores how a push or its proof ended, unless the host is wanted otherwise by now: whoever changed it has
 *  made the next push due. */
export function settle(ctx: Context, placement: PlacementRow, outcome: Outcome): Promise<void> {
  const now = ctx.now()
  const { status, message, unproved, proofWarnings, until, againAfterSeconds, silent } = outcome
  const { host, appliedAt, appliedTrust } = placement
  const synced = status === 'Synced'
  const later = (milliseconds: number) => new Date(now.getTime() + milliseconds)
  return store(ctx, {
    placement,
    columns: {
      status,
      message: message?.slice(0, 2000) ?? null,
      ...(status === placement.status ? {} : { since: now }),
      ...(proofWarnings === undefined ? {} : { proofWarnings }),
      ...(synced
        ? {
            generation: host.generation,
            certificateId: host.certificateId,
            provedAt: now,
            holdsUntil: until ?? null,
            served: [servedAs(host)],
            appliedAt: null,
            // A change of an authority's key goes on when every gateway is seen to have the trust.
            trust: appliedTrust,
          }
        : {}),
      ...(unproved ? { trust: null } : {}),
    },
    releases: synced,
    due: [
      ...(synced && appliedAt !== null
        ? [{ kind: 'placement.look' as const, at: later(propagation) }]
        : []),
      ...(againAfterSeconds === undefined
        ? []
        : [{ kind: 'placement.push' as const, at: later(againAfterSeconds * 1000) }]),
    ],
    ...(silent ? { silent } : {}),
  })
}

/** A condition has been as it is since its status last changed, whatever it says of that. */
function sinceWhen(
  { conditions }: PlacementRow,
  seen: readonly Seen[],
  now: Date,
): readonly Condition[] {
  const before = shownJson(Type.Array(Condition), conditions)
  return seen.map((each) => {
    const same = before.find(({ type, status }) => type === each.type && status === each.status)
    return { ...each, since: same?.since ?? timestamp(now) }
  })
}

/** What a push left on the cluster. */
export type Applied = {
  /** Something was changed there just now. */
  readonly changed: boolean
  /** What the ingress cannot be asked about, and others have: it makes a conflict. */
  readonly lost: readonly string[]
  readonly warnings: readonly string[]
  /** What was seen around it. */
  readonly conditions: readonly Seen[]
  readonly objects: readonly RecordedObject[]
  /** What others had changed, and what was done about it. */
  readonly drift: Decision
  /** Whom it makes the ingress trust of clients, see trustDigest; null: nobody. */
  readonly trust: string | null
}

/** Stores that a host's objects are on the cluster, and makes it due that this is proved. What was served as
 *  wanted before stays Synced until it is seen not to be. */
export async function settleApplied(
  ctx: Context,
  placement: PlacementRow,
  { changed, lost: taken, warnings, conditions, objects, trust, drift }: Applied,
): Promise<void> {
  const now = ctx.now()
  const lost = [...(drift.message === null ? [] : [drift.message]), ...taken]
  const { host, generation, certificateId } = placement
  const current = generation === host.generation && certificateId === host.certificateId
  const stays = placement.status === 'Synced' && current
  const status = lost.length > 0 ? 'Conflict' : stays ? 'Synced' : 'Applied'
  const message = lost.length > 0 ? lost.join('. ') : stays ? null : waitingForIngress
  const inAMinute = new Date(now.getTime() + 60_000)
  const noted = notedDrift(placement, drift)
  const applied = { ...placement, appliedAt: changed ? now : placement.appliedAt }
  const later = lost.length > 0 ? undefined : waitUntil(ctx, applied)
  await store(ctx, {
    placement,
    columns: {
      ...(status === placement.status ? {} : { status, since: now }),
      ...noted.columns,
      // What was said of an ingress that does not serve it is said until it does.
      ...(status === 'Applied' && placement.status === 'Applied' && !changed
        ? {}
        : { message: message?.slice(0, 2000) ?? null }),
      warnings,
      conditions: sinceWhen(placement, conditions, now),
      objects: recordOf(objects),
      appliedTrust: trust,
      ...(changed ? { appliedAt: now } : {}),
    },
    events: noted.events,
    due:
      lost.length > 0
        ? [{ kind: 'placement.push', at: drift.againAt ?? inAMinute }]
        : [
            { kind: 'placement.confirm', at: later ?? now },
            // It may be made any moment, and nobody tells.
            ...(conditions.some((each) => each.status === 'False')
              ? [{ kind: 'placement.look' as const, at: inAMinute }]
              : []),
          ],
  })
  if (!later) return
  noteWaiting(ctx, applied)
  // The ingress may have got as far while this was stored.
  if (waitUntil(ctx, applied)) return
  await dueNext(ctx, { kind: 'placement.confirm', placement, at: ctx.now() })
}

/** What is said of a host that has no certificate, where nothing else is. */
export const waitingForCertificate = 'Waiting for its certificate'

/** What a push left on the cluster of a host without a certificate. */
export type Answering = Pick<Applied, 'objects' | 'warnings'> & {
  /** A CA elsewhere may look for what is answered there; else that was taken off. */
  readonly answering: boolean
}

/** Stores what answers a CA elsewhere on the cluster. What was said of the order stays: of one under way and, once its
 *  answers are taken off, of one that failed. */
export function settleChallenges(
  ctx: Context,
  placement: PlacementRow,
  { objects, warnings, answering }: Answering,
): Promise<void> {
  const { status, message, host } = placement
  const refused = status === 'Failed' && host.certifyFailures > 0 && !answering
  const stays = message !== null && (status === 'Pending' || refused)
  return store(ctx, {
    placement,
    columns: {
      ...{ warnings, objects: recordOf(objects) },
      ...(stays ? {} : { message: waitingForCertificate }),
      ...(stays || status === 'Pending' ? {} : { status: 'Pending', since: ctx.now() }),
    },
  })
}

const waitingForIngress = 'Waiting until the ingress serves it'

/** What was put right and what was left, as it is stored and told in the audit trail: of what is left, when
 *  it is seen first. */
function notedDrift(placement: PlacementRow, drift: Decision) {
  const { cluster, ingress } = placement
  const held = drift.held.map(heldOf)
  const known = isDeepStrictEqual(held, placement.drift)
  const place = placeText({ cluster: cluster.name, ingress })
  const { repaired } = drift
  return {
    columns: {
      drift: held,
      repairs: drift.repairs,
      ...(placement.takeBack ? { takeBack: false } : {}),
    },
    events: [
      ...(repaired.length > 0
        ? [{ action: 'host.repaired' as const, changes: factsOf(place, repaired) }]
        : []),
      ...(held.length > 0 && !known
        ? [{ action: 'host.drifted' as const, changes: factsOf(place, drift.held) }]
        : []),
    ],
  }
}

function heldOf({ ref: { kind, namespace, name }, missing, fields, managers }: ObjectDrift) {
  return {
    object: { kind, namespace, name },
    missing,
    fields: [...fields],
    managers: [...managers],
  }
}

function factsOf(cluster: string, drift: readonly ObjectDrift[]) {
  const once = (all: readonly string[]) => [...new Set(all)]
  return {
    cluster,
    objects: drift.map(({ ref }) => nameOf(ref)),
    removed: drift.filter(({ missing }) => missing).map(({ ref }) => nameOf(ref)),
    fields: once(drift.flatMap(({ fields }) => fields)),
    managers: once(drift.flatMap(({ managers }) => managers.map(({ manager }) => manager))),
  }
}

/** What of a host decides who can ask for it. */
export function servedAs(host: PlacementRow['host']): ServedSpecs[number] {
  const { tls, http } = specOf(host)
  return { tls, http }
}

/** Makes the next push due at `at`. */
export function dueAgain(
  tx: Tx,
  { id, clusterId }: { readonly id: string; readonly clusterId: string },
  at: Date,
): Promise<void> {
  return due(tx, 'placement.push', { placementId: id, clusterId }, at)
}

/** Holds the host until the transaction ends; no changes are under way then. */
export async function holdHost(
  tx: Tx,
  host: { readonly id: string; readonly tenantId: string; readonly name: string },
): Promise<void> {
  await lock(tx, [hostLock(host)])
  // Renewal takes no lock but the row's.
  await tx.$executeRaw(sql`select 1 from host where id = ${host.id}::uuid for update`)
}
