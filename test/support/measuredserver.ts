import { createServer } from 'node:http'
import { getHeapStatistics } from 'node:v8'
import { buildServer } from '../../src/api/server.ts'
import { readConfig } from '../../src/core/config.ts'
import { openContext } from '../../src/core/context.ts'

// `gatesmith serve` that tells how long it was at work without looking up, and how far a request made it
// grow, since it was asked last: GET on the port after its own. A machine that is busy with other things
// does not count: the work is told in processor time. Nor does a slow one: much work is told as it would be on
// the machine where the limits were set.

const config = readConfig(process.env)
const quiet = () => undefined
const ctx = openContext(config, { info: quiet, warn: quiet, error: console.error })
const api = await buildServer(ctx)
await api.listen({ host: config.host, port: config.port })

const seen = { pauseMs: 0, grownMb: 0 }
/** Milliseconds that are no matter on any machine. */
const little = 25
let looked = worked()
let base = memory()
api.server.on('request', () => {
  base = memory()
})
setInterval(look, 1).unref()

function look(): void {
  const now = worked()
  seen.pauseMs = Math.max(seen.pauseMs, now - looked)
  seen.grownMb = Math.max(seen.grownMb, (memory() - base) / 2 ** 20)
  looked = now
}

/** Milliseconds of processor time of this thread. */
function worked(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function memory(): number {
  const { used_heap_size: used, external_memory: external } = getHeapStatistics()
  return used + external
}

const sample = JSON.stringify(Array.from({ length: 20_000 }, (_, n) => ({ name: `name-${n}`, n })))
const repeats = 4
/** What to read and write the sample so often takes there. */
const sampleMs = 21.6

/** How many times as long as there a piece of work takes here and now: the least of a few. */
function slowness(): number {
  const runs = Array.from({ length: 5 }, () => {
    const begun = worked()
    for (let n = 0; n < repeats; n++) JSON.stringify(JSON.parse(sample))
    return worked() - begun
  })
  return Math.max(1, Math.min(...runs) / sampleMs)
}

createServer((_request, response) => {
  look()
  const told = { ...seen, slowness: seen.pauseMs < little ? 1 : slowness() }
  looked = worked()
  Object.assign(seen, { pauseMs: 0, grownMb: 0 })
  response.end(JSON.stringify(told))
}).listen(config.port + 1, config.host)
