import { buildServer } from '../api/server.ts'
import type { Config } from '../core/config.ts'
import { openContext } from '../core/context.ts'
import { migrate } from '../core/database/migrate.ts'
import { openLogger } from './logger.ts'
import { openMetrics } from './metrics.ts'
import { runUntilSignal } from './stopping.ts'
import { openTls } from './tls.ts'

/** `gatesmith serve`: the HTTP surface, until a signal. Never starts a sandbox. */
export async function serve(config: Config): Promise<void> {
  const log = openLogger(config.logLevel)
  await runUntilSignal(async (stops) => {
    if (config.traces) {
      const { openTracing } = await import('./tracing.ts')
      stops.add(openTracing(config.traces, { log, service: 'gatesmith-serve' }))
    }
    await migrate(config.databaseUrl)
    const ctx = openContext(config, log)
    stops.add(() => ctx.db.close())
    if (config.metrics) stops.add((await openMetrics(ctx, config.metrics)).close)
    // Loading it takes half a second, for which no request is to hold up the others.
    await import('../clusters/kubernetes/library.ts')
    const api = await buildServer(ctx, log)
    stops.add(() => api.close())
    await api.listen({ host: config.host, port: config.port })
    if (config.tls) stops.add(await openTls(api.server, ctx, config.tls))
  })
}
