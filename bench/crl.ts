import { generateKeyPairSync, sign } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { getWholeList } from '../src/authorities/crl/find.ts'
import { publishList } from '../src/authorities/crl/publish.ts'
import { wholeList } from '../src/authorities/crl/urls.ts'
import { recordRevoked } from './revoked.ts'
import { setStage } from './stage.ts'

// node bench/crl.ts [revoked = 100000] [rounds = 5]
// How long it takes to read, build, sign, check and publish a list of so many, and the longest that
// the event loop stood still meanwhile. Beside it what hashing and signing its bytes alone takes.

const [revoked = 100_000, rounds = 5] = process.argv.slice(2).map(Number)
const stage = await setStage()
const { ctx } = stage
const say = (line: string) => process.stdout.write(`${line}\n`)

/** What `work` took in milliseconds, the longest pause of the event loop in it, and how much of one
 *  pause was this thread's own work: the rest is other programs on the same cores. */
async function timed(work: () => Promise<unknown>): Promise<string> {
  await delay(200)
  let own = 0
  let last = process.threadCpuUsage()
  const sampling = setInterval(() => {
    const { user, system } = process.threadCpuUsage(last)
    own = Math.max(own, user + system)
    last = process.threadCpuUsage()
  }, 1)
  const pauses = monitorEventLoopDelay({ resolution: 1 })
  pauses.enable()
  const begun = performance.now()
  await work()
  const took = performance.now() - begun
  await delay(20)
  pauses.disable()
  clearInterval(sampling)
  const paused = `longest pause ${(pauses.max / 1e6).toFixed(1)} ms, own ${(own / 1e3).toFixed(1)} ms`
  return `${took.toFixed(0)} ms, ${paused}`
}

try {
  const keyId = await recordRevoked(ctx, revoked)
  for (let round = 1; round <= rounds; round++) {
    const told = await timed(() => publishList(ctx, { keyId, shard: wholeList }))
    say(`${revoked} revoked, round ${round}: published in ${told}`)
  }
  const read = () => getWholeList(ctx, 'bench-issuing')
  say(`first GET: ${await timed(read)}`)
  const { der } = await read()
  say(`the next GET, of ${der.length} octets: ${await timed(read)}`)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const begun = performance.now()
  sign('sha256', der, privateKey)
  say(`limit: hashing and signing these octets alone ${(performance.now() - begun).toFixed(1)} ms`)
} finally {
  await stage.stop()
}
