import type { Config } from '../core/config.ts'
import { openContext } from '../core/context.ts'
import { migrate } from '../core/database/migrate.ts'
import { startWorker } from '../jobs/worker.ts'
import { openLogger } from './logger.ts'
import { openMetrics } from './metrics.ts'
import { runUntilSignal } from './stopping.ts'

/** `gatesmith worker`: works off what is due, until a signal. */
export async function work(config: Config, concurrency: number): Promise<void> {
  const log = openLogger(config.logLevel)
  await runUntilSignal(async (stops) => {
    if (config.traces) {
      const { openTracing } = await import('./tracing.ts')
      stops.add(openTracing(config.traces, { log, service: 'gatesmith-worker' }))
    }
    await migrate(config.databaseUrl)
    const ctx = openContext(config, log)
    stops.add(() => ctx.db.close())
    if (config.metrics) stops.add((await openMetrics(ctx, config.metrics)).close)
    const worker = await startWorker(ctx, concurrency)
    stops.add(worker.stop)
    log.info({ concurrency }, 'working off what is due')
  })
}
