import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { type Context, openContext } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { type Due, dueMany, jobKey } from '../../src/core/database/due.ts'
import { openSession } from '../../src/core/database/postgres.ts'
import type { Work } from '../../src/jobs/tasks.ts'
import { startTurns } from '../../src/jobs/turns.ts'
import { startWorker, type Worker } from '../../src/jobs/worker.ts'
import { openTestDatabase, testConfig } from '../support/context.ts'
import { until } from '../support/process.ts'
import { openRelay } from '../support/relay.ts'

// The real queue. What a job does is the test's, and lasts as long as it wants.

const url = await openTestDatabase()
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
const ctx = openContext(testConfig(url), quiet)
after(() => ctx.db.close())

type Key = Due['placement.push']

function keysOf(clusterId: string, count: number): readonly Key[] {
  return Array.from({ length: count }, () => ({ placementId: randomUUID(), clusterId }))
}

function dueNow(keys: readonly Key[], kind: keyof Due & `placement.${string}`, urgent = false) {
  return ctx.db.transaction((tx) =>
    dueMany(tx, kind, keys, urgent ? { urgency: 'revocation' } : {}),
  )
}

/** How many jobs of these keys there still are. */
async function left(keys: readonly Key[]): Promise<number> {
  const names = keys.flatMap((key) => [
    jobKey('placement.push', key),
    jobKey('placement.look', key),
  ])
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly count: number }[]>(sql`
    select count(*)::int as count from graphile_worker._private_jobs where key = any(${names})`)
  return row?.count ?? 0
}

const over = new AbortController().signal

/** Turns of this test's own, and what they have begun and not ended. */
function turnsOf(t: { after: (work: () => Promise<void>) => void }, of: Context = ctx) {
  const begun: { readonly key: unknown; readonly end: () => void }[] = []
  const act = (key: unknown) => new Promise<void>((resolve) => begun.push({ key, end: resolve }))
  const work: Work = { 'placement.push': act, 'placement.look': act }
  const turns = startTurns(of, { work, lane: 'main', queues: 4, hold: async () => undefined, over })
  t.after(async () => {
    const ending = setInterval(() => {
      for (const { end } of begun) end()
    }, 5)
    await turns.stop()
    clearInterval(ending)
  })
  return { begun, wake: turns.wake }
}

function isBegun(begun: readonly { readonly key: unknown }[], count: number) {
  return until(`${count} have begun`, () => (begun.length >= count ? true : undefined))
}

test('what is urgent begins while as many run as may, and a cluster is one process’s at a time', async (t) => {
  const clusterId = randomUUID()
  const one = turnsOf(t)
  const usual = keysOf(clusterId, 112)
  await dueNow(usual, 'placement.push')
  one.wake()
  await isBegun(one.begun, 96)
  // It looks for work by itself, and would have taken the cluster.
  const other = turnsOf(t)
  const urgent = keysOf(clusterId, 1)
  await dueNow(urgent, 'placement.push', true)
  one.wake()
  other.wake()
  await isBegun(one.begun, 97)
  assert.deepEqual(one.begun[96]?.key, urgent[0])
  // Another cluster is nobody's yet.
  const elsewhere = keysOf(randomUUID(), 1)
  await dueNow(elsewhere, 'placement.push')
  other.wake()
  const more = () => [...one.begun.slice(97), ...other.begun].map(({ key }) => key)
  await until('it is somebody’s', () => (more().length > 0 ? true : undefined))
  assert.deepEqual(more(), elsewhere)
  // The rest has its turn when there is room.
  const end = setInterval(() => {
    for (const each of one.begun) each.end()
  }, 5)
  t.after(() => clearInterval(end))
  await until('all is done', async () => ((await left(usual)) === 0 ? true : undefined))
})

test('of one thing one job runs at a time', async (t) => {
  const { begun, wake } = turnsOf(t)
  const [key, next] = keysOf(randomUUID(), 2)
  assert.ok(key && next)
  await dueNow([key], 'placement.push')
  await dueNow([key, next], 'placement.look')
  wake()
  await isBegun(begun, 2)
  assert.notDeepEqual(begun[0]?.key, begun[1]?.key)
  begun[0]?.end()
  begun[1]?.end()
  await isBegun(begun, 3)
  assert.deepEqual(begun[2]?.key, key)
  begun[2]?.end()
  await until('all is done', async () => ((await left([key, next])) === 0 ? true : undefined))
})

test('a worker whose database is away for a while does all that was due, and one is stopped meanwhile', async (t) => {
  const direct = new URL(url)
  const relay = await openRelay(() => Number(direct.port))
  const far = new URL(url)
  far.port = String(relay.port)
  const said: string[] = []
  const warn = (_: unknown, words: string) => void said.push(words)
  // Each job that waits for the lock has a connection, and the queue needs one as well.
  const away = openContext({ ...testConfig(far.href), databasePool: 12 }, { ...quiet, warn })
  const holder = await openSession(url)
  let worker: Worker | undefined
  t.after(async () => {
    await holder.close()
    await worker?.stop()
    await away.db.close()
  })
  await holder.query('begin')
  await holder.query('lock table host, placement in access exclusive mode')

  worker = await startWorker(away, 4)
  const keys = keysOf(randomUUID(), 6)
  const hosts = Array.from({ length: 6 }, () => ({ hostId: randomUUID() }))
  await dueNow(keys, 'placement.push')
  await ctx.db.transaction((tx) => dueMany(tx, 'host.certify', hosts))
  const names = hosts.map((key) => jobKey('host.certify', key))
  const jobs = async () => {
    const rows = await ctx.db.read.$queryRaw<readonly { readonly taken: boolean }[]>(sql`
      select locked_by is not null as taken from graphile_worker._private_jobs
      where key = any(${[...names, ...keys.map((key) => jobKey('placement.push', key))]})`)
    return rows
  }
  await until('jobs of both kinds run', async () =>
    (await jobs()).filter(({ taken }) => taken).length >= 8 ? true : undefined,
  )
  relay.block()
  await holder.query('commit')
  for (const words of ['a queue is given up', 'the queue gave up its slots']) {
    await until(words, () => (said.some((each) => each.startsWith(words)) ? true : undefined))
  }
  relay.mend()
  await until('all is done', async () => ((await jobs()).length === 0 ? true : undefined))
  relay.block()
  await worker.stop()
  worker = undefined
})
