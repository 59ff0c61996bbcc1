import { EventEmitter } from 'node:events'
import { Logger, parseCronItems, run, type TaskList, type WorkerEvents } from 'graphile-worker'
import Type from 'typebox'
import Value from 'typebox/value'
import { refreshLists } from '../authorities/crlbehind.ts'
import { publishLists } from '../authorities/crlpublish.ts'
import { advanceRotation, resumeRotations } from '../authorities/rotationstep.ts'
import { certifyHost } from '../certificates/certify.ts'
import { finishCertificates } from '../certificates/finish.ts'
import { recheckCertificates } from '../certificates/recheck.ts'
import { renewByItself } from '../certificates/renew.ts'
import { renewalsDue } from '../certificates/renewals.ts'
import { advanceReplacement, resumeReplacements } from '../certificates/replace.ts'
import { reviewTenant } from '../certificates/review.ts'
import { revokeBlocked, sweepBlocked } from '../certificates/revokeblocked.ts'
import { checkCluster } from '../clusters/check.ts'
import { pushPlacement } from '../delivery/push.ts'
import type { Context, Log } from '../ground/context.ts'
import type { Due } from '../ground/due.ts'
import { openLeases } from './leases.ts'
import { recheckClusters, resyncPlacements } from './resync.ts'

/** What is done about each kind of due work. */
function tasksOf(ctx: Context): TaskList {
  const HostKey = Type.Object({ hostId: Type.String() })
  const PlacementKey = Type.Object({ placementId: Type.String() })
  const ClusterKey = Type.Object({ clusterId: Type.String() })
  const AuthorityKey = Type.Object({ keyId: Type.String() })
  const CertificateKey = Type.Object({ certificateId: Type.String() })
  const TenantKey = Type.Object({ tenantId: Type.String() })
  const RotatingKey = Type.Object({ authorityId: Type.String() })
  const ReplacementKey = Type.Object({ replacementId: Type.String() })
  const BlockedKey = Type.Object({ spkiSha256: Type.String() })
  const keyed: Record<keyof Due, (key: unknown) => Promise<unknown>> = {
    'host.certify': (key) => certifyHost(ctx, Value.Parse(HostKey, key).hostId),
    'placement.push': (key) => pushPlacement(ctx, Value.Parse(PlacementKey, key)),
    'authority.rotate': (key) => advanceRotation(ctx, Value.Parse(RotatingKey, key).authorityId),
    'authority.publish': (key) => publishLists(ctx, Value.Parse(AuthorityKey, key).keyId),
    'certificate.renew': (key) =>
      renewByItself(ctx, Value.Parse(CertificateKey, key).certificateId),
    'replacement.advance': (key) =>
      advanceReplacement(ctx, Value.Parse(ReplacementKey, key).replacementId),
    'tenant.review': (key) => reviewTenant(ctx, Value.Parse(TenantKey, key).tenantId),
    'blocked-key.revoke': (key) => revokeBlocked(ctx, Value.Parse(BlockedKey, key).spkiSha256),
    'cluster.check': (key) => checkCluster(ctx, Value.Parse(ClusterKey, key)),
  }
  const periodic: Record<keyof typeof schedule, () => Promise<unknown>> = {
    'certificates.finish': () => finishCertificates(ctx),
    'certificates.renew': () => renewalsDue(ctx),
    'blocked-keys.sweep': () => sweepBlocked(ctx),
    'placements.resync': () => resyncPlacements(ctx),
    'clusters.check': () => recheckClusters(ctx),
    'certificates.recheck': () => recheckCertificates(ctx),
    'rotations.resume': () => resumeRotations(ctx),
    'replacements.resume': () => resumeReplacements(ctx),
    'lists.refresh': () => refreshLists(ctx),
  }
  return Object.fromEntries(
    Object.entries({ ...keyed, ...periodic }).map(([kind, work]) => [
      kind,
      async (payload: unknown) => {
        await work(payload)
      },
    ]),
  )
}

/** What is looked at again and again, as a net below the due work. */
const schedule = {
  'certificates.finish': '* * * * *',
  'certificates.renew': '* * * * *',
  'blocked-keys.sweep': '*/5 * * * *',
  'placements.resync': '*/5 * * * *',
  'clusters.check': '* * * * *',
  'certificates.recheck': '17 2 * * *',
  'rotations.resume': '*/5 * * * *',
  'replacements.resume': '*/5 * * * *',
  'lists.refresh': '*/5 * * * *',
} as const

/** A running worker; `stop` lets running jobs end and gives the others back. */
export type Worker = { readonly stop: () => Promise<void> }

/** Starts to work off what is due, `concurrency` jobs at a time. Any number of processes may do this. */
export async function startWorker(ctx: Context, concurrency: number): Promise<Worker> {
  const leases = await openLeases(ctx)
  const events: WorkerEvents = new EventEmitter()
  events.on('worker:create', ({ worker }) => {
    leases.hold(worker.workerId).catch((error: unknown) => {
      ctx.log.error({ err: error }, 'a worker has no lease; its jobs may be run twice')
    })
  })
  const runner = await run({
    connectionString: ctx.config.databaseUrl,
    maxPoolSize: concurrency + 2,
    concurrency,
    pollInterval: 1000,
    noHandleSignals: true,
    taskList: tasksOf(ctx),
    parsedCronItems: parseCronItems(
      Object.entries(schedule).map(([task, match]) => ({
        task,
        match,
        options: { maxAttempts: 1 },
      })),
    ),
    events,
    logger: loggerOf(ctx.log),
  })
  return {
    stop: async () => {
      await runner.stop()
      await leases.stop()
    },
  }
}

/** The queue's own words go to the debug part of our log, what it warns of to the log itself. */
function loggerOf(log: Log): Logger {
  return new Logger(() => (level, message, meta) => {
    if (level === 'error') log.error({ queue: meta }, message)
    if (level === 'warning') log.warn({ queue: meta }, message)
  })
}
