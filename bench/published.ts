import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { revokeCertificate } from '../src/certificates/revocation/revoke.ts'
import { sql } from '../src/core/database/db.ts'
import { actor, isListStale, issueClient, spreadOf, startWorker, untilSo } from './real.ts'
import { setStage } from './stage.ts'

// How soon after a revocation its lists are published, by a worker that has nothing else to do:
// node bench/published.ts [revocations = 100]. npm run build first.

const [revocations = 100] = process.argv.slice(2).map(Number)
const stage = await setStage()
const { ctx } = stage

/** Whether somebody is about each list that is to be published. */
async function isTaken(): Promise<boolean> {
  const waiting = await ctx.db.rows(sql`select from graphile_worker._private_jobs
    where key like 'authority.publish/%' and locked_at is null`)
  return waiting.length === 0
}

const worker = await startWorker(stage)
const times: { readonly taken: number; readonly listed: number }[] = []
for (let turn = -5; turn < revocations; turn++) {
  const id = await issueClient(ctx)
  // At any moment between two polls.
  await delay(1_000 * Math.random())
  const begun = performance.now()
  await revokeCertificate(ctx, actor, { tenant: 'bench', id, reason: 'superseded' })
  const [taken, listed] = await Promise.all([
    untilSo(begun, isTaken),
    untilSo(begun, async () => !(await isListStale(ctx))),
  ])
  if (turn >= 0) times.push({ taken, listed })
}
for (const step of ['taken', 'listed'] as const) {
  process.stdout.write(`${step} after ${spreadOf(times.map((each) => each[step]))}\n`)
}
worker.kill('SIGTERM')
await once(worker, 'exit')
await stage.stop()
