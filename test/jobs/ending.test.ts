import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '../../src/clusters/register.ts'
import { openContext } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { admin, openTestDatabase, testConfig } from '../support/context.ts'
import { openssl } from '../support/openssl.ts'
import { until } from '../support/process.ts'

// A worker that ends while it waits for a cluster that takes its time with every answer.

const told: unknown[] = []
const quiet = () => undefined
const log = { info: quiet, warn: quiet, error: (facts: unknown) => void told.push(facts) }
const ctx = openContext(testConfig(await openTestDatabase()), log)
after(() => ctx.db.close())

const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
const named = ['-subj', '/CN=slow', '-addext', 'subjectAltName=IP:127.0.0.1']
const cert = openssl(['req', '-x509', '-key', 'key.pem', ...named], { 'key.pem': key })

const asked: string[] = []
const slow = createServer({ key, cert }, async ({ url = '' }, response) => {
  asked.push(url)
  // Two answers, one after the other, take longer than a worker that ends waits.
  await delay(8_000)
  const version = { major: '1', minor: '36', gitVersion: 'v1.36.0' }
  const status = { kind: 'Status', status: 'Failure', reason: 'NotFound', code: 404 }
  const isVersion = url.startsWith('/version')
  response.writeHead(isVersion ? 200 : 404, { 'content-type': 'application/json' })
  response.end(JSON.stringify(isVersion ? version : status))
})
slow.listen(0, '127.0.0.1')
await once(slow, 'listening')
after(() => {
  slow.closeAllConnections()
  slow.close()
})
const place = slow.address()
const address = `127.0.0.1:${typeof place === 'object' ? place?.port : 0}`
const kubeconfig = JSON.stringify({
  'current-context': 'slow',
  contexts: [{ name: 'slow', context: { cluster: 'slow', user: 'slow' } }],
  clusters: [
    {
      name: 'slow',
      cluster: {
        server: `https://${address}`,
        'certificate-authority-data': Buffer.from(cert).toString('base64'),
      },
    },
  ],
  users: [{ name: 'slow', user: { token: 'none' } }],
})

test('a worker that ends leaves to others what waits for a slow cluster, and blames nobody', async () => {
  const { name } = await createCluster(ctx, admin, {
    name: 'slow',
    kubeconfig,
    ingress: { address },
  })
  const before = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name } })
  const worker = await startWorker(ctx, 2)
  await until('the cluster is asked', () => (asked.length > 0 ? true : undefined))
  await worker.stop()
  // The second answer is not waited for.
  assert.ok(asked.length > 1)
  const jobs = await ctx.db.read.$queryRaw(sql`
    select identifier, locked_by, last_error, attempts::int
    from graphile_worker._private_jobs as jobs
    join graphile_worker._private_tasks as tasks on tasks.id = jobs.task_id
    where identifier like 'cluster.%'`)
  const left = { identifier: 'cluster.check', locked_by: null, last_error: 'ErrandOver' }
  assert.deepEqual(jobs, [{ ...left, attempts: 1 }])
  assert.deepEqual(await ctx.db.read.cluster.findUniqueOrThrow({ where: { name } }), before)
  assert.deepEqual(told, [])
})
