import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { issueCertificate } from '../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../src/certificates/revocation/revoke.ts'
import { sql } from '../src/core/database/db.ts'
import { actor, startWorker } from './real.ts'
import { setStage } from './stage.ts'

// How soon after a revocation its lists are published, by a worker that has nothing else to do:
// node bench/published.ts [revocations = 100]. npm run build first.

const [revocations = 100] = process.argv.slice(2).map(Number)
const stage = await setStage()
const { ctx } = stage

type Left = { readonly isStale: boolean; readonly isTaken: boolean }

/** Whether a list is still to be published, and whether somebody is about it. */
async function left(): Promise<Left> {
  const [found = { isStale: false, isTaken: true }] = await ctx.db.rows<Left>(sql`
    select exists (select from revocation_list where "shown" is distinct from "revision") as "isStale",
      not exists (select from graphile_worker._private_jobs
        where key like 'authority.publish/%' and locked_at is null) as "isTaken"`)
  return found
}

const worker = await startWorker(stage)
const times: { readonly taken: number; readonly listed: number }[] = []
for (let turn = -5; turn < revocations; turn++) {
  const { id } = await issueCertificate(ctx, actor, {
    tenant: 'bench',
    request: { profile: 'client', subject: { commonName: 'bench' } },
    idempotencyKey: undefined,
  })
  // At any moment between two polls.
  await delay(1_000 * Math.random())
  const begun = performance.now()
  await revokeCertificate(ctx, actor, { tenant: 'bench', id, reason: 'superseded' })
  let taken: number | undefined
  for (;;) {
    const { isStale, isTaken } = await left()
    if (isTaken) taken ??= performance.now() - begun
    if (!isStale) break
    await delay(2)
  }
  const listed = performance.now() - begun
  if (turn >= 0) times.push({ taken: taken ?? listed, listed })
}
for (const step of ['taken', 'listed'] as const) {
  const sorted = times.map((each) => each[step]).toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed()
  process.stdout.write(`${step} after p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms\n`)
}
worker.kill('SIGTERM')
await once(worker, 'exit')
await stage.stop()
