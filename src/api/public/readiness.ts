import { setTimeout as wait } from 'node:timers/promises'
import type { Context } from '../../core/context.ts'
import { bellsRing } from '../../core/database/bells.ts'
import { compareMigrations } from '../../core/database/migrations.ts'
import { oncePer } from '../../core/onceper.ts'
import { unopenable } from '../../core/sealing/rewrap.ts'
import { isWorkedOff } from '../../jobs/leases.ts'
import type { Api } from '../api.ts'

/** How one thing is that a process needs. A warning keeps it from serving nobody. Everybody may read the
 *  message: it names nothing of the installation, which the log does. */
type Check = { readonly status: 'ok' | 'warning' | 'failed' | 'unknown'; readonly message?: string }

/** Whether a process can serve, and what it is that it lacks. */
export type Readiness = {
  readonly status: 'ready' | 'unready'
  readonly checks: Readonly<
    Record<'database' | 'migrations' | 'sealing' | 'listening' | 'workers', Check>
  >
}

/** For those who run it, without a token: is the process alive, and can it serve. */
export function probes(api: Api, ctx: Context): void {
  api.get('/livez', async () => ({ status: 'ok' }))
  api.get('/readyz', async (_, reply) => {
    const readiness = await readinessOf(ctx)
    if (readiness.status === 'unready') reply.code(503).header('retry-after', '1')
    return readiness
  })
}

/** Everybody who asks within a second is told the same; nobody waits longer for the database. */
const freshMilliseconds = 1_000
const patienceMilliseconds = 3_000

type Looking = { readonly found: Promise<Readiness>; done: boolean; readonly since: number }

const lookings = oncePer((): { last: Looking | undefined } => ({ last: undefined }))

/** Whether this process can serve. While a look has had no answer no other is begun: a database that
 *  hangs is not asked again and again. */
export function readinessOf(ctx: Context): Promise<Readiness> {
  const state = lookings(ctx)
  const { last } = state
  const now = performance.now()
  const old = !last || (last.done && now - last.since > freshMilliseconds)
  const looking = old ? { found: look(ctx), done: false, since: now } : last
  if (old) {
    state.last = looking
    void looking.found.finally(() => Object.assign(looking, { done: true }))
  }
  const patience = Math.max(0, looking.since + patienceMilliseconds - now)
  const late = { status: 'failed', message: 'It has not answered for three seconds' } as const
  return Promise.race([
    looking.found,
    wait(patience, readiness({ database: late }), { ref: false }),
  ])
}

async function look(ctx: Context): Promise<Readiness> {
  try {
    const { missing } = await compareMigrations(ctx.db.statement)
    const migrations: Check =
      missing.length === 0
        ? { status: 'ok' }
        : {
            status: 'failed',
            message: `${missing.length} of this release are not applied: run gatesmith migrate`,
          }
    const database: Check = { status: 'ok' }
    if (migrations.status === 'failed') return readiness({ database, migrations })
    return readiness({
      database,
      migrations,
      sealing: await sealing(ctx),
      listening: bellsRing(ctx)
        ? { status: 'ok' }
        : { status: 'failed', message: 'Who waits here hears nothing: it is opened again' },
      workers: (await isWorkedOff(ctx))
        ? { status: 'ok' }
        : { status: 'warning', message: 'None runs: nothing is issued, pushed or renewed' },
    })
  } catch (err) {
    ctx.log.error({ err }, 'whether this process can serve could not be found out')
    return readiness({ database: { status: 'failed', message: 'It does not answer as it should' } })
  }
}

async function sealing(ctx: Context): Promise<Check> {
  const tables = await unopenable(ctx)
  if (tables.length === 0) return { status: 'ok' }
  ctx.log.error({ tables }, 'what is sealed there is under a key that this process was not given')
  return {
    status: 'failed',
    message: 'Keys are sealed under another key: give it in GATESMITH_SEALING_KEYS_FORMER',
  }
}

/** What was not looked at is unknown. */
function readiness(found: Partial<Readiness['checks']>): Readiness {
  const unknown: Check = { status: 'unknown' }
  const checks = {
    ...{ database: unknown, migrations: unknown, sealing: unknown },
    ...{ listening: unknown, workers: unknown },
    ...found,
  }
  const failed = Object.values(checks).some(({ status }) => status === 'failed')
  return { status: failed ? 'unready' : 'ready', checks }
}
