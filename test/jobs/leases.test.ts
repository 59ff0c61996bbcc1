import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../../src/ground/db.ts'
import { openLeases } from '../../src/jobs/leases.ts'
import { openTestContext } from '../support/context.ts'

const ctx = await openTestContext()

test('jobs of a worker that is gone are given back, those of one that lives are not', async (t) => {
  const living = await openLeases(ctx)
  t.after(living.stop)
  await living.hold('worker-alive')
  for (const worker of ['worker-dead', 'worker-alive']) {
    await ctx.db.read.$queryRaw(sql`
      select id from graphile_worker.add_job('placement.push', job_key => ${worker})`)
    await ctx.db.read.$executeRaw(sql`
      update graphile_worker._private_jobs set locked_by = ${worker},
        locked_at = now() - interval '1 minute' where key = ${worker}`)
  }
  // A second process, which sweeps as it starts.
  const other = await openLeases(ctx)
  t.after(other.stop)
  const held = await ctx.db.read.$queryRaw<readonly { key: string }[]>(sql`
    select key from graphile_worker._private_jobs where locked_at is not null`)
  assert.deepEqual(held, [{ key: 'worker-alive' }])
})
