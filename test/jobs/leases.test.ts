import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { openContext } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { due } from '../../src/core/database/due.ts'
import { openSession } from '../../src/core/database/postgres.ts'
import { openLeases } from '../../src/jobs/leases.ts'
import { openTestDatabase, testConfig } from '../support/context.ts'
import { kill, settingsFor, startProcess, until } from '../support/process.ts'

// The real queue, and workers that are processes of their own. What a job is about is locked by the
// test, so that it runs for as long as the test wants.

const url = await openTestDatabase()
const quiet = () => undefined
const ctx = openContext(testConfig(url), { info: quiet, warn: quiet, error: quiet })
after(() => ctx.db.close())
const settings = await settingsFor(url)

type Job = { readonly taken: string | null; readonly attempts: number; readonly seconds: number }

async function jobOf(hostId: string): Promise<Job | undefined> {
  const [job] = await ctx.db.read.$queryRaw<readonly Job[]>(sql`
    select locked_by as taken, attempts::int, extract(epoch from now() - locked_at)::float as seconds
    from graphile_worker._private_jobs where key = ${`host.certify/${hostId}`}`)
  return job
}

function taken(hostId: string) {
  return until(`the job of ${hostId} is taken`, async () => {
    const job = await jobOf(hostId)
    return job?.taken ? job : undefined
  })
}

test('a long job of a worker that lives runs once, one of a worker that is killed is taken over', async (t) => {
  const holder = await openSession(url)
  t.after(holder.close)
  await holder.query('begin')
  await holder.query('lock table host in access exclusive mode')
  const [kept, lost] = [randomUUID(), randomUUID()]

  const living = startProcess(['worker', '--concurrency', '1'], settings)
  await ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId: kept }))
  const first = await taken(kept)
  const dying = startProcess(['worker', '--concurrency', '1'], settings)
  await ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId: lost }))
  const other = await taken(lost)
  assert.notEqual(other.taken, first.taken)

  await kill(dying)
  const killed = Date.now()
  await until('the job of the killed worker is given back', async () =>
    (await jobOf(lost))?.taken === null ? true : undefined,
  )
  t.diagnostic(`given back after ${(Date.now() - killed) / 1000} s`)
  const long = await until('the other has run for longer than any grace', async () => {
    const job = await jobOf(kept)
    return job === undefined || job.taken !== first.taken || job.seconds > 8 ? { job } : undefined
  })
  assert.deepEqual([long.job?.taken, long.job?.attempts], [first.taken, 1])

  await holder.query('commit')
  for (const hostId of [kept, lost]) {
    await until(`the job of ${hostId} is done`, async () =>
      (await jobOf(hostId)) === undefined ? true : undefined,
    )
  }
  assert.doesNotMatch(living.said.out, /given up|failed/)
})

test('a lease outlives the loss of the session that holds it', async (t) => {
  const leases = await openLeases(ctx)
  t.after(leases.stop)
  await leases.hold('pool-of-this-test')
  const holders = () =>
    ctx.db.read.$queryRaw<readonly { pid: number }[]>(sql`
    select pid from pg_locks where locktype = 'advisory' and granted and classid = ${0x6773}::oid
    and objid = (hashtext('pool-of-this-test')::bigint & 4294967295)::oid
    and database = (select oid from pg_database where datname = current_database())`)
  const [before] = await holders()
  assert.ok(before)
  await ctx.db.read.$executeRaw(sql`select pg_terminate_backend(${before.pid}::int)`)
  const [next] = await until('another session holds it', async () => {
    const found = await holders()
    return found.length > 0 && found[0]?.pid !== before.pid ? found : undefined
  })
  assert.ok(next)
})

test('what is made due while its job is being taken is done after that job', async () => {
  // A worker takes the job between the two statements of the queue's add_job, which then adds nothing.
  const hostId = randomUUID()
  const key = `host.certify/${hostId}`
  await ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId }, new Date(4e12)))
  const taking = await openSession(url)
  await taking.query('begin')
  await taking.query(
    `update graphile_worker._private_jobs set locked_at = now(), locked_by = 'pool-test',
       attempts = 1 where key = $1`,
    [key],
  )
  const adding = ctx.db.transaction((tx) => due(tx, 'host.certify', { hostId }, new Date(4e12)))
  await until('the adding waits for the taking', async () => {
    const waiting = await ctx.db.read.$queryRaw<readonly unknown[]>(sql`
      select from pg_stat_activity where wait_event_type = 'Lock' and query like '%add_job%'
      and datname = current_database()`)
    return waiting.length > 0 ? true : undefined
  })
  await taking.query('commit')
  await adding
  await taking.close()
  assert.equal((await jobOf(hostId))?.taken, null)
})
