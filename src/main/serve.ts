import { buildServer } from '../api/server.ts'
import type { Config } from '../core/config.ts'
import { begin } from './begin.ts'
import { openLogger } from './logger.ts'
import { takePort } from './port.ts'
import { runUntilSignal } from './stopping.ts'
import { openTls } from './tls.ts'

/** `gatesmith serve`: the HTTP surface, until a signal. Never starts a sandbox. */
export async function serve(config: Config): Promise<void> {
  const log = openLogger(config.logLevel)
  await runUntilSignal(async (stops) => {
    const ctx = await begin(config, { log, stops, service: 'serve' })
    // Loading it takes half a second, for which no request is to hold up the others.
    await import('../clusters/kubernetes/library.ts')
    const api = await buildServer(ctx, log)
    stops.add('the HTTP server', () => api.close())
    const { host, port } = config
    await takePort({ host, port, setting: 'GATESMITH_PORT' }, () => api.listen({ host, port }))
    if (config.tls) stops.add('the TLS port', await openTls(api.server, ctx, config.tls))
  })
}
