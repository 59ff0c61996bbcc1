import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, beforeEach, test } from 'node:test'
import { openContext } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { due } from '../../src/core/database/due.ts'
import { attempt } from '../../src/jobs/failure.ts'
import { sweepQueue } from '../../src/jobs/sweep.ts'
import { openTestDatabase, testConfig } from '../support/context.ts'

const told: { readonly level: string; readonly facts: object; readonly sentence: string }[] = []
const tell = (level: string) => (facts: object, sentence: string) =>
  void told.push({ level, facts, sentence })
const log = { info: tell('info'), warn: tell('warn'), error: tell('error') }
const ctx = openContext(testConfig(await openTestDatabase()), log)
after(() => ctx.db.close())

const periodic = ['lists.refresh']

beforeEach(async () => {
  told.length = 0
  await ctx.db.read.$executeRaw(sql`delete from graphile_worker._private_jobs`)
})

/** As the queue keeps a job whose attempts are used up. */
async function die(key: string, kept: string | null, error: string | null): Promise<void> {
  await ctx.db.read.$executeRaw(sql`
    update graphile_worker._private_jobs set attempts = max_attempts, key = ${kept},
      last_error = ${error} where key = ${key}`)
}

function jobs() {
  return ctx.db.read.$queryRaw<readonly { key: string; attempts: number; waits: boolean }[]>(sql`
    select key, attempts::int, run_at > now() + interval '50 minutes' as waits
    from graphile_worker._private_jobs order by key`)
}

test('work that was given up is due again later, and that is said without the words of its error', async () => {
  const hostId = randomUUID()
  await ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId }))
  await die(`host.certify/${hostId}`, `host.certify/${hostId}`, 'password of db is hunter2')
  assert.equal(await sweepQueue(ctx, periodic), 1)
  assert.deepEqual(await jobs(), [{ key: `host.certify/${hostId}`, attempts: 0, waits: true }])
  const [said] = told.filter(({ level }) => level === 'error')
  assert.deepEqual(said?.facts, { task: 'host.certify', key: { hostId }, failure: 'Error' })
  assert.doesNotMatch(JSON.stringify(told), /hunter2/)
  assert.equal(await sweepQueue(ctx, periodic), 0)
})

test('a job that a newer one superseded goes, and the newer one stays as it is', async () => {
  const hostId = randomUUID()
  await ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId }))
  await die(`host.certify/${hostId}`, null, null)
  const later = new Date(Date.now() + 86_400_000)
  await ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId }, later))
  await sweepQueue(ctx, periodic)
  assert.deepEqual(await jobs(), [{ key: `host.certify/${hostId}`, attempts: 0, waits: true }])
  assert.deepEqual(
    told.map(({ level, facts }) => [level, facts]),
    [['warn', { jobs: { 'host.certify': 1 } }]],
  )
})

test('of a dead job without a key, whose newer one is gone, the thing is looked at once more', async () => {
  const key = { placementId: randomUUID(), clusterId: randomUUID() }
  await ctx.db.transaction((tx) => due(tx, 'placement.push', key))
  const name = `placement.push/${key.placementId}/${key.clusterId}`
  await die(name, null, 'KubeError unreachable')
  await sweepQueue(ctx, periodic)
  assert.deepEqual(await jobs(), [{ key: name, attempts: 0, waits: false }])
})

test('a dead job whose key cannot be read goes, and keeps none of the others', async () => {
  const hostId = randomUUID()
  await ctx.db.read.$executeRaw(sql`
    select graphile_worker.add_job('placement.push', '{"placementId": 7}', max_attempts => 1,
      job_key => 'placement.push/7')`)
  await ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId }))
  await ctx.db.read.$executeRaw(sql`
    update graphile_worker._private_jobs set attempts = max_attempts`)
  assert.equal(await sweepQueue(ctx, periodic), 2)
  assert.deepEqual(await jobs(), [{ key: `host.certify/${hostId}`, attempts: 0, waits: true }])
})

test('jobs of one key coalesce in whatever order its members are named', async () => {
  const [placementId, clusterId] = [randomUUID(), randomUUID()]
  await ctx.db.transaction((tx) => due(tx, 'placement.push', { placementId, clusterId }))
  await ctx.db.transaction((tx) => due(tx, 'placement.push', { clusterId, placementId }))
  const found = await jobs()
  assert.deepEqual(
    found.map(({ key }) => key),
    [`placement.push/${placementId}/${clusterId}`],
  )
})

test('a dead turn of periodic work goes; jobs of another release are left, and said', async () => {
  await ctx.db.read.$executeRaw(sql`
    select graphile_worker.add_job('lists.refresh', max_attempts => 1)`)
  await ctx.db.read.$executeRaw(sql`update graphile_worker._private_jobs set attempts = 1`)
  await ctx.db.read.$executeRaw(sql`
    select graphile_worker.add_job('of.tomorrow', run_at => now() - interval '2 hours')`)
  assert.equal(await sweepQueue(ctx, periodic), 1)
  assert.equal((await jobs()).length, 1)
  assert.deepEqual(told.at(-1)?.facts, { task: 'of.tomorrow', jobs: 1 })
})

test('a queue that is held by nobody is freed, one of a thing that is gone is forgotten', async () => {
  const held = { placementId: randomUUID(), clusterId: randomUUID() }
  await ctx.db.transaction((tx) => due(tx, 'placement.push', held))
  await ctx.db.read.$executeRaw(sql`
    update graphile_worker._private_job_queues set locked_at = now(), locked_by = 'pool-gone'`)
  await ctx.db.read.$executeRaw(sql`
    insert into graphile_worker._private_job_queues (queue_name) values (${`key/${randomUUID()}`})`)
  await sweepQueue(ctx, periodic)
  const queues = await ctx.db.read.$queryRaw<readonly object[]>(sql`
    select queue_name, locked_by from graphile_worker._private_job_queues`)
  const name = `cluster/${held.clusterId}`
  assert.deepEqual(queues, [{ queue_name: name, locked_by: null }])
})

test('the queue is told the kind of an error alone, the log all of it', async () => {
  const error = Object.assign(new TypeError('the key is 0xSECRET'), { code: 'P2034' })
  const { signal: over } = new AbortController()
  const job = { task: 'host.certify', payload: {}, priority: 0, since: 0, over }
  await assert.rejects(
    attempt(ctx, job, () => Promise.reject(error)),
    { message: 'TypeError P2034' },
  )
  assert.equal(told.length, 1)
})
