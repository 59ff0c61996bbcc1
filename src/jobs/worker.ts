import { setMaxListeners } from 'node:events'
import { directUrl } from '../core/config.ts'
import type { Context } from '../core/context.ts'
import { slowFlag, togetherChannel } from '../core/database/due.ts'
import { listen, openPool } from '../core/database/postgres.ts'
import { openLeases } from './leases.ts'
import { type SlotOptions, startSlots } from './slots.ts'
import { dueWork, parted, periodicWork, schedule, slowWork } from './tasks.ts'
import { startTurns } from './turns.ts'
import { startWatches } from './watches.ts'

/** What the slots of each lane do, and what is done together. */
function lanesOf(ctx: Context) {
  const [main, slow] = [parted(dueWork(ctx)), parted(slowWork(ctx))]
  return {
    main: { ...main.alone, ...periodicWork(ctx) },
    slow: slow.alone,
    together: { main: main.together, slow: slow.together },
  }
}

/** Running jobs have this long to end when a worker is stopped. Those that wait for clusters longer than that are
 *  left to others: a process that ends has half a minute in all. */
const endMilliseconds = 10_000

/** A running worker; `stop` lets running jobs end and gives the others back. */
export type Worker = { readonly stop: () => Promise<void> }

/** Starts to work off what is due, `concurrency` jobs at a time, and beside them a quarter as many (at
 *  least one) that alone wait for clusters that did not answer last time; and of what is done together, as many
 *  queues: to begin with a hundred clusters at one moment makes connections late. Any number of processes may
 *  do this. */
export async function startWorker(ctx: Context, concurrency: number): Promise<Worker> {
  const slowSlots = Math.max(1, Math.floor(concurrency / 4))
  const leases = await openLeases(ctx)
  const watches = await startWatches(ctx)
  // A slot has a connection only while it takes a job or gives it back.
  const pgPool = openPool(directUrl(ctx.config), concurrency + 2)
  const lost = (err: unknown) => ctx.log.warn({ err }, 'the queue lost a connection')
  // Without a listener a lost connection would end the process, also while a job has it.
  pgPool.on('error', lost)
  pgPool.on('connect', (client) => client.on('error', lost))
  const lanes = lanesOf(ctx)
  const ending = new AbortController()
  const over = ending.signal
  // Each question to a cluster that is under way listens to it.
  setMaxListeners(0, over)
  const hold = (poolId: string) =>
    leases.hold(poolId).catch((error: unknown) => {
      ctx.log.warn({ err: error }, 'a worker has no lease yet; another session is opened for it')
    })
  const turns = [
    startTurns(ctx, { lane: 'main', work: lanes.together.main, queues: concurrency, hold, over }),
    startTurns(ctx, { lane: 'slow', work: lanes.together.slow, queues: slowSlots, hold, over }),
  ]
  const listening = listen(directUrl(ctx.config), togetherChannel, () => {
    for (const { wake } of turns) wake()
  })
  const start = (options: Omit<SlotOptions, 'pgPool' | 'over'>) =>
    startSlots(ctx, { hold, letGo: leases.letGo }, { pgPool, over, ...options })
  const main = await start({ concurrency, work: lanes.main, passing: [slowFlag], schedule })
  const slow = await start({ concurrency: slowSlots, work: lanes.slow, passing: [], schedule: {} })
  return {
    stop: async () => {
      const all = [main, slow, watches, ...turns]
      const late = setTimeout(() => ending.abort(), endMilliseconds)
      await Promise.all(all.map((each) => each.stop()))
      clearTimeout(late)
      await listening.close()
      await leases.stop()
      await pgPool.end()
    },
  }
}
