import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { buildServer } from '../../src/api/server.ts'
import { readConfig } from '../../src/core/config.ts'
import { openContext } from '../../src/core/context.ts'

// `gatesmith serve` that tells how long its event loop stood still and how far it grew since it was
// asked last: GET on the port after its own.

const config = readConfig(process.env)
const quiet = () => undefined
const ctx = openContext(config, { info: quiet, warn: quiet, error: console.error })
const api = await buildServer(ctx)
await api.listen({ host: config.host, port: config.port })

const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
let base = memory()
let peak = base
setInterval(() => {
  peak = Math.max(peak, memory())
}, 1).unref()

function memory(): number {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

createServer((_request, response) => {
  const told = { pauseMs: delays.max / 1e6, grownMb: (Math.max(peak, memory()) - base) / 2 ** 20 }
  globalThis.gc?.()
  base = memory()
  peak = base
  delays.reset()
  response.end(JSON.stringify(told))
}).listen(config.port + 1, config.host)
