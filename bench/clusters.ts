import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { countOf, openFleet, putHosts, putWideHosts } from '../test/jobs/fleet.ts'
import { setStage } from './stage.ts'

// node bench/clusters.ts [hosts a cluster = 30] [healthy = 12] [silent = 8]
// How long it takes until the hosts of healthy clusters are Synced while other clusters take connections
// and never answer: one worker of eight slots. First everything is new and due at once, then the same
// number of hosts again, on clusters that are known; then hosts that are on all of them at once. The
// sandbox clusters live in this process.

const [each = 30, healthy = 12, silent = 8] = process.argv.slice(2).map(Number)
const stage = await setStage()
const { ctx } = stage
const say = (line: string) => process.stdout.write(`${line}\n`)
const fleet = await openFleet(ctx, { healthy, silent })

function startWorker() {
  const { environment: env } = stage
  return spawn(process.execPath, ['dist/main.js', 'worker'], { env, stdio: 'inherit' })
}

async function measure(name: string, hosts: number, begun: number): Promise<void> {
  let first: number | undefined
  for (;;) {
    const synced = await countOf(ctx, 'healthy', 'Synced')
    const seconds = (performance.now() - begun) / 1000
    if (synced > hosts - healthy * each) first ??= seconds
    if (synced === hosts) {
      say(`${name}: the first after ${first?.toFixed(1)} s, all after ${seconds.toFixed(1)} s`)
      return
    }
    await delay(100)
  }
}

try {
  await putHosts(ctx, [...fleet.silent, ...fleet.healthy], each)
  const begun = performance.now()
  const worker = startWorker()
  await measure('everything new', healthy * each, begun)
  await putHosts(ctx, [...fleet.silent, ...fleet.healthy], each, 'again')
  await measure('clusters known, from the last PUT', 2 * healthy * each, performance.now())
  const begunWide = performance.now()
  await putWideHosts(ctx, [...fleet.silent, ...fleet.healthy], each)
  say(`hosts on all clusters were put in ${((performance.now() - begunWide) / 1000).toFixed(1)} s`)
  await measure('hosts on all clusters, from the first PUT', 3 * healthy * each, begunWide)
  worker.kill('SIGTERM')
  await once(worker, 'exit')
} finally {
  await fleet.stop()
  await stage.stop()
}
