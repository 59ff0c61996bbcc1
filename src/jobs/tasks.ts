import Type from 'typebox'
import Value from 'typebox/value'
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
import { isSlow } from '../clusters/silence.ts'
import type { Context } from '../core/context.ts'
import { type Due, due } from '../core/database/due.ts'
import { lookAtPlacement, pushPlacement } from '../delivery/push.ts'
import { forgetOldAnswers } from '../tenants/apikeys/answers.ts'
import { lookAgain, recheckClusters, resyncPlacements } from './resync.ts'
import { sweepQueue } from './sweep.ts'

/** What is done about each kind of due work, given its key. */
export type Keyed = Readonly<Record<keyof Due, (key: unknown) => Promise<unknown>>>

/** What is done about each kind of due work. */
export function keyedWork(ctx: Context): Keyed {
  const HostKey = Type.Object({ hostId: Type.String() })
  const PlacementKey = Type.Object({ placementId: Type.String() })
  const ClusterKey = Type.Object({ clusterId: Type.String() })
  const AuthorityKey = Type.Object({ keyId: Type.String() })
  const CertificateKey = Type.Object({ certificateId: Type.String() })
  const TenantKey = Type.Object({ tenantId: Type.String() })
  const RotatingKey = Type.Object({ authorityId: Type.String() })
  const ReplacementKey = Type.Object({ replacementId: Type.String() })
  const BlockedKey = Type.Object({ spkiSha256: Type.String() })
  return {
    'host.certify': (key) => certifyDueHost(ctx, Value.Parse(HostKey, key).hostId),
    'placement.push': (key) => pushPlacement(ctx, Value.Parse(PlacementKey, key)),
    'placement.look': (key) => lookAtPlacement(ctx, Value.Parse(PlacementKey, key)),
    'authority.rotate': (key) => advanceRotation(ctx, Value.Parse(RotatingKey, key).authorityId),
    'authority.publish': (key) => publishLists(ctx, Value.Parse(AuthorityKey, key).keyId),
    'certificate.renew': (key) => renewDue(ctx, Value.Parse(CertificateKey, key).certificateId),
    'replacement.advance': (key) =>
      advanceReplacement(ctx, Value.Parse(ReplacementKey, key).replacementId),
    'tenant.review': (key) => reviewTenant(ctx, Value.Parse(TenantKey, key).tenantId),
    'blocked-key.revoke': (key) => revokeBlocked(ctx, Value.Parse(BlockedKey, key).spkiSha256),
    'cluster.check': (key) => checkCluster(ctx, Value.Parse(ClusterKey, key)),
  }
}

/** The kinds that wait for a cluster: these alone are done in the slow lane, and only there for a cluster
 *  that did not answer last time. One that is met elsewhere moves there, and holds no slot. */
export type ClusterWork = Pick<Keyed, 'placement.push' | 'placement.look' | 'cluster.check'>

/** The same work outside of the slow lane. */
export function quickWork(ctx: Context, work: ClusterWork): ClusterWork {
  const PushKey = Type.Object({ placementId: Type.String(), clusterId: Type.String() })
  const CheckKey = Type.Object({ clusterId: Type.String() })
  async function quickly<Kind extends keyof ClusterWork>(
    task: Kind,
    key: Due[Kind] & { readonly clusterId: string },
  ): Promise<void> {
    if (await isSlow(ctx, { task, clusterId: key.clusterId })) {
      await ctx.db.transaction((tx) => due(tx, task, key, null, 'slow'))
    } else await work[task](key)
  }
  return {
    'placement.push': (key) => quickly('placement.push', Value.Parse(PushKey, key)),
    'placement.look': (key) => quickly('placement.look', Value.Parse(PushKey, key)),
    'cluster.check': (key) => quickly('cluster.check', Value.Parse(CheckKey, key)),
  }
}

/** When what is looked at again and again, as a net below the due work. */
export const schedule = {
  'certificates.finish': '* * * * *',
  'certificates.renew': '* * * * *',
  'blocked-keys.sweep': '*/5 * * * *',
  'placements.resync': '*/5 * * * *',
  'placements.look': '* * * * *',
  'clusters.check': '* * * * *',
  'certificates.recheck': '17 2 * * *',
  'rotations.resume': '*/5 * * * *',
  'replacements.resume': '*/5 * * * *',
  'lists.refresh': '*/5 * * * *',
  'answers.forget': '7 * * * *',
  'queue.sweep': '* * * * *',
} as const

/** What is done at each of those times. */
export type Periodic = Readonly<Record<keyof typeof schedule, () => Promise<unknown>>>

/** What is done at each of those times. */
export function periodicWork(ctx: Context, keyed: Keyed): Periodic {
  return {
    'certificates.finish': () => finishCertificates(ctx),
    'certificates.renew': () => renewalsDue(ctx),
    'blocked-keys.sweep': () => sweepBlocked(ctx),
    'placements.resync': () => resyncPlacements(ctx),
    'placements.look': () => lookAgain(ctx),
    'clusters.check': () => recheckClusters(ctx),
    'certificates.recheck': () => recheckCertificates(ctx),
    'rotations.resume': () => resumeRotations(ctx),
    'replacements.resume': () => resumeReplacements(ctx),
    'lists.refresh': () => refreshLists(ctx),
    'answers.forget': () => forgetOldAnswers(ctx),
    'queue.sweep': () =>
      sweepQueue(ctx, { keyed: Object.keys(keyed), periodic: Object.keys(schedule) }),
  }
}
