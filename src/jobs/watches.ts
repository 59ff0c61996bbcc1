import { setTimeout as wait } from 'node:timers/promises'
import { directUrl } from '../core/config.ts'
import type { Context } from '../core/context.ts'
import { type DatabaseSession, openLockSession } from '../core/database/postgres.ts'
import { followCluster } from '../delivery/drift/follow.ts'
import { isRecord } from '../shared/shape.ts'

/** The clusters that this process follows. One process in the whole installation follows a cluster: it holds
 *  an advisory lock of its name, on a session of its own. When the process ends in any way the lock is gone
 *  with it, and another takes the cluster over within seconds. Processes share the clusters evenly. A
 *  session that is not known to be lost yet may let two follow one cluster for a while: both then find the
 *  same things due. */
export type Watches = { readonly stop: () => Promise<void> }

const turnMilliseconds = 1_000
/** After a failure all of a cluster is compared again, so not at once. */
const retryMilliseconds = 5_000
/** Every process that follows clusters holds this one, shared. */
const present = 'gatesmith/watches'

type Followed = {
  readonly version: string
  readonly controller: AbortController
  readonly ended: Promise<void>
}

/** Begins to follow a share of the clusters: those that answer. */
export async function startWatches(ctx: Context): Promise<Watches> {
  const followed = new Map<string, Followed>()
  const stopping = new AbortController()

  function begin({ id, version }: Row): void {
    const controller = new AbortController()
    followed.set(id, { version, controller, ended: follow(ctx, id, controller.signal) })
  }

  async function end(id: string): Promise<void> {
    const one = followed.get(id)
    followed.delete(id)
    one?.controller.abort()
    await one?.ended
  }

  async function turn(session: DatabaseSession): Promise<void> {
    const rows = rowsOf(await session.query(clustersToFollow))
    const wanted = new Map(rows.map((row) => [row.id, row]))
    const processes = Number(valueIn(await session.query(countPresent, [present])))
    const share = Math.ceil(rows.length / Math.max(1, processes))
    for (const [id, { version }] of followed) {
      const row = wanted.get(id)
      if (row && row.version === version && followed.size <= share) continue
      await end(id)
      if (row && followed.size < share) begin(row)
      else await session.query('select pg_advisory_unlock(hashtextextended($1, 0))', [lockOf(id)])
    }
    for (const row of rows) {
      if (followed.size >= share) return
      if (followed.has(row.id)) continue
      const taken = await session.query('select pg_try_advisory_lock(hashtextextended($1, 0))', [
        lockOf(row.id),
      ])
      if (valueIn(taken) === true) begin(row)
    }
  }

  async function keep(): Promise<void> {
    while (!stopping.signal.aborted) {
      let session: DatabaseSession | undefined
      try {
        session = await openLockSession(directUrl(ctx.config))
        await session.query('select pg_advisory_lock_shared(hashtextextended($1, 0))', [present])
        while (!stopping.signal.aborted) {
          await turn(session)
          await wait(turnMilliseconds, undefined, { signal: stopping.signal }).catch(
            () => undefined,
          )
        }
      } catch (error) {
        ctx.log.warn({ err: error }, 'the session that holds clusters is lost; opening another')
        await wait(500)
      } finally {
        // Whoever has no lock any more does not follow.
        await Promise.all([...followed.keys()].map(end))
        await session?.close().catch(() => undefined)
      }
    }
  }

  const keeping = keep()
  return {
    stop: async () => {
      stopping.abort()
      await keeping
    },
  }
}

/** Until the signal; begins anew after a failure. */
async function follow(ctx: Context, clusterId: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await followCluster(ctx, clusterId, { signal })
    } catch (error) {
      ctx.log.warn({ clusterId, err: error }, 'a cluster is not followed for a moment')
      await wait(retryMilliseconds, undefined, { signal }).catch(() => undefined)
    }
  }
}

function lockOf(clusterId: string): string {
  return `watch/${clusterId}`
}

/** Those that were seen to answer and still do; what they are reached by and looked at for is their version. */
const clustersToFollow = `
  select id::text, "updatedAt"::text as version from cluster
  where status <> 'Unknown' and "silentSince" is null order by id`

const countPresent = `
  select count(distinct pid)::int as value from pg_locks
  where locktype = 'advisory' and granted and objsubid = 1
    and database = (select oid from pg_database where datname = current_database())
    and ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)`

type Row = { readonly id: string; readonly version: string }

function rowsOf(rows: readonly unknown[]): readonly Row[] {
  return rows.map((row) => ({
    id: String(memberOf(row, 'id')),
    version: String(memberOf(row, 'version')),
  }))
}

function valueIn([row]: readonly unknown[]): unknown {
  return isRecord(row) ? Object.values(row)[0] : undefined
}

function memberOf(row: unknown, name: string): unknown {
  return isRecord(row) ? row[name] : undefined
}
