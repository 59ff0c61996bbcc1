import { type Config, directUrl } from '../core/config.ts'
import { type Context, openContext } from '../core/context.ts'
import { migrate } from '../core/database/migrate.ts'
import { unopenable } from '../core/sealing/rewrap.ts'
import type { openLogger } from './logger.ts'
import { openMetrics } from './metrics.ts'
import type { Stopping } from './stopping.ts'

/** What server and worker begin with: traces and metrics where they are asked for, a database of this release, and a sealing
 *  key that opens what is in it. Throws one sentence where that cannot be had. */
export async function begin(
  config: Config,
  {
    log,
    stops,
    service,
  }: { log: ReturnType<typeof openLogger>; stops: Stopping; service: 'serve' | 'worker' },
): Promise<Context> {
  if (config.traces) {
    const { openTracing } = await import('./tracing.ts')
    stops.add('traces', openTracing(config.traces, { log, service: `gatesmith-${service}` }))
  }
  await migrate(directUrl(config), log)
  const ctx = openContext(config, log)
  stops.add('the database connections', () => ctx.db.close())
  await refuseOtherKey(ctx)
  if (config.metrics) stops.add('metrics', (await openMetrics(ctx, config.metrics)).close)
  return ctx
}

/** With another key it would answer little, and seal what the other processes cannot open. */
async function refuseOtherKey(ctx: Context): Promise<void> {
  const tables = await unopenable(ctx)
  if (tables.length === 0) return
  throw new Error(
    `The sealing key is another one than that which the database is sealed under (${tables.join(', ')}): give that one (GATESMITH_SEALING_KEY, _FILE or _COMMAND), or name it in GATESMITH_SEALING_KEYS_FORMER`,
  )
}
