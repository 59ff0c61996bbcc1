import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { readinessOf } from '../api/public/readiness.ts'
import type { Context } from '../core/context.ts'
import { measureProcess, metersOf } from '../core/metrics.ts'
import { listenAt } from './port.ts'
import { readStock } from './stock.ts'

/** The database is asked no more often, however many ask here, and no scrape waits longer for it. */
const pauseMilliseconds = 15_000
const patienceMilliseconds = 5_000

const json = { 'content-type': 'application/json' }

/** Serves GET /metrics, and GET /livez and /readyz for processes that serve nothing else, at an address of its own,
 *  where the API's clients cannot reach it: it asks for no token. Answers its URL. */
export async function openMetrics(ctx: Context, { host, port }: { host: string; port: number }) {
  measureProcess(ctx.config)
  const { registry } = metersOf(ctx.config)
  const refresh = refresher(ctx)
  const server = createServer({ requestTimeout: 10_000 }, async (request, response) => {
    const path = request.method === 'GET' ? request.url?.split('?')[0] : undefined
    if (path === '/livez') {
      response.writeHead(200, json).end('{"status":"ok"}')
      return
    }
    if (path === '/readyz') {
      const readiness = await readinessOf(ctx)
      response.writeHead(readiness.status === 'ready' ? 200 : 503, json)
      response.end(JSON.stringify(readiness))
      return
    }
    if (path !== '/metrics') {
      response.writeHead(404).end('GET /metrics, /livez or /readyz\n')
      return
    }
    await Promise.race([refresh(), wait(patienceMilliseconds, undefined, { ref: false })])
    readPool(ctx)
    response.writeHead(200, { 'content-type': registry.contentType })
    response.end(await registry.metrics())
  })
  await listenAt(server, { host, port, setting: 'GATESMITH_METRICS_PORT' })
  const { port: bound } = server.address() as AddressInfo
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { url: `http://${host}:${bound}/metrics`, close }
}

/** Reads the database again when the last reading is old; who comes meanwhile waits for the same one. */
function refresher(ctx: Context): () => Promise<void> {
  const { readable } = metersOf(ctx.config)
  let reading: Promise<void> | undefined
  let next = 0
  return () => {
    if (!reading && performance.now() >= next) {
      reading = readStock(ctx)
        .then(() => readable.set(1))
        .catch((err: unknown) => {
          readable.set(0)
          ctx.log.warn({ err }, 'the state of things could not be read for /metrics')
        })
        .finally(() => {
          reading = undefined
          next = performance.now() + pauseMilliseconds
        })
    }
    return reading ?? Promise.resolve()
  }
}

function readPool(ctx: Context): void {
  const { pool } = metersOf(ctx.config)
  const { total, idle, waiting } = ctx.db.connections()
  pool.set({ state: 'busy' }, total - idle)
  pool.set({ state: 'idle' }, idle)
  pool.set({ state: 'waiting' }, waiting)
}
