import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { changeCluster } from '../../src/clusters/register.ts'
import { syncCluster } from '../../src/clusters/sync.ts'
import { openContext } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { recheckClusters } from '../../src/jobs/resync.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { admin, openTestDatabase, testConfig } from '../support/context.ts'
import { until } from '../support/process.ts'
import { countOf, openFleet, putHosts } from './fleet.ts'

// Fourteen clusters, of which eight take connections and never answer; one worker of eight slots.

// Hooks run in the order in which they are made: this one before the database goes, and in reverse.
const stops: (() => Promise<unknown>)[] = []
after(async () => {
  for (const stop of stops.reverse()) await stop()
})

const quiet = () => undefined
const log = { info: quiet, warn: quiet, error: quiet }
const ctx = openContext(testConfig(await openTestDatabase()), log)
stops.push(() => ctx.db.close())
const fleet = await openFleet(ctx, { healthy: 6, silent: 8 })
stops.push(fleet.stop)
const each = 3

const worker = await startWorker(ctx, 8)
stops.push(worker.stop)

test('clusters that never answer keep no host of the others waiting', async (t) => {
  const begun = Date.now()
  await putHosts(ctx, [...fleet.silent, ...fleet.healthy], each)
  await until('all hosts of the healthy clusters are Synced', async () =>
    (await countOf(ctx, 'healthy', 'Synced')) === 6 * each ? true : undefined,
  )
  t.diagnostic(`Synced after ${(Date.now() - begun) / 1000} s`)
  await until('all hosts of the silent ones say why they are not', async () =>
    (await countOf(ctx, 'silent', 'Failed')) === 8 * each ? true : undefined,
  )
  await until('all breakers are open', async () => ((await silent()) === 8 ? true : undefined))
  const { message } = await ctx.db.read.placement.findFirstOrThrow({
    where: { cluster: { name: 'silent-0' } },
  })
  assert.match(message ?? '', /no TLS connection within 3 s/)
})

test('a quarter of the slots waits for those that did not answer, and pushes do not', async () => {
  const since = new Date()
  for (const name of fleet.silent) await syncCluster(ctx, admin, name)
  await recheckClusters(ctx)
  let most = 0
  await until('all silent clusters were looked at again', async () => {
    const waiting = fleet.holes.reduce((sum, hole) => sum + hole.waiting(), 0)
    most = Math.max(most, waiting)
    const left = await ctx.db.read.cluster.count({
      where: { silentSince: { not: null }, checkedAt: { lt: since } },
    })
    return left === 0 ? true : undefined
  })
  assert.ok(most > 0 && most <= 2, `${most} connections at a time`)
})

test('a breaker is closed by the check alone, and what waited is served', async () => {
  const [name = ''] = fleet.silent
  const [sandbox] = fleet.sandboxes
  assert.ok(sandbox)
  const patch = {
    kubeconfig: sandbox.kubeconfig,
    ingress: { address: `127.0.0.1:${sandbox.tlsPort}` },
  }
  await changeCluster(ctx, admin, { name, patch })
  await until('its hosts are Synced', async () =>
    (await countOf(ctx, 'silent', 'Synced')) === each ? true : undefined,
  )
  assert.equal(await silent(), 7)
})

test('an ingress that says nothing is waited for in the slow slots alone', async () => {
  const [, name = ''] = fleet.silent
  const [, hole] = fleet.holes
  const [sandbox] = fleet.sandboxes
  assert.ok(sandbox && hole)
  const patch = { kubeconfig: sandbox.kubeconfig, ingress: { address: hole.address } }
  await changeCluster(ctx, admin, { name, patch })
  await until('a push has waited for the ingress in vain', async () => {
    const { unansweredAt } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name } })
    return unansweredAt ?? undefined
  })
  await until('the next one is in the slow lane', async () => {
    const flagged = await ctx.db.read.$queryRaw<readonly unknown[]>(sql`
      select from graphile_worker._private_jobs where key like 'placement.confirm/%'
      and flags ? 'slow'`)
    return flagged.length > 0 ? true : undefined
  })
  const { message } = await until('it is said', async () => {
    const where = { cluster: { name }, message: { contains: 'makes no TLS connection for' } }
    return (await ctx.db.read.placement.findFirst({ where })) ?? undefined
  })
  assert.match(message ?? '', /No answer within/)
})

function silent(): Promise<number> {
  return ctx.db.read.cluster.count({ where: { silentSince: { not: null } } })
}
