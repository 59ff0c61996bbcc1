import type { Config } from '../core/config.ts'
import { startWorker } from '../jobs/worker.ts'
import { begin } from './begin.ts'
import { openLogger } from './logger.ts'
import { runUntilSignal } from './stopping.ts'

/** `gatesmith worker`: works off what is due, until a signal. */
export async function work(config: Config, concurrency: number): Promise<void> {
  const log = openLogger(config.logLevel)
  await runUntilSignal(async (stops) => {
    const ctx = await begin(config, { log, stops, service: 'worker' })
    const worker = await startWorker(ctx, concurrency)
    stops.add('the worker', worker.stop)
    log.info({ concurrency }, 'working off what is due')
  })
}
