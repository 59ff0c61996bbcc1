import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startWorker } from '../../src/jobs/worker.ts'
import { openTestContext } from '../support/context.ts'
import { until } from '../support/process.ts'
import { countOf, openFleet, putHosts } from './fleet.ts'

// Twenty clusters, of which eight take connections and never answer; one worker of eight slots.

const ctx = await openTestContext()
const fleet = await openFleet(ctx, { healthy: 12, silent: 8 })
after(fleet.stop)
const each = 5

test('clusters that never answer keep no host of the others waiting', async (t) => {
  await putHosts(ctx, [...fleet.silent, ...fleet.healthy], each)
  const worker = await startWorker(ctx, 8)
  t.after(worker.stop)
  const begun = Date.now()
  await until('all hosts of the healthy clusters are Synced', async () =>
    (await countOf(ctx, 'healthy', 'Synced')) === 12 * each ? true : undefined,
  )
  t.diagnostic(`Synced after ${(Date.now() - begun) / 1000} s`)
  await until('all hosts of the silent ones say why they are not', async () =>
    (await countOf(ctx, 'silent', 'Failed')) === 8 * each ? true : undefined,
  )
  const breakers = await ctx.db.read.cluster.count({ where: { silentSince: { not: null } } })
  assert.equal(breakers, 8)
})
