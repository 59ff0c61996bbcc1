import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { buildServer } from '../../src/api/server.ts'
import { createCluster } from '../../src/clusters/register.ts'
import { sql } from '../../src/core/database/db.ts'
import { removeHost } from '../../src/hosts/remove.ts'
import { recheckClusters } from '../../src/jobs/resync.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { openStage, put, read } from '../delivery/support.ts'
import { httpOf } from '../e2e/stage.ts'
import { tokenFor } from '../support/api.ts'
import { admin } from '../support/context.ts'
import { isProblem } from '../support/problem.ts'
import { until } from '../support/process.ts'

// A cluster that takes connections and never says a word, beside one that lives.

const { ctx, sandbox } = await openStage()
const asked = new Set<Socket>()
const hole = createServer((socket) => {
  asked.add(socket)
  socket.on('error', () => undefined)
})
await new Promise<void>((resolve) => hole.listen(0, '127.0.0.1', resolve))
/** From now on it refuses, as a machine that is gone. */
function closeHole(): void {
  hole.close()
  for (const socket of asked) socket.destroy()
}
after(closeHole)
const place = hole.address()
const port = typeof place === 'object' ? place?.port : undefined
const address = `127.0.0.1:${port}`
await createCluster(ctx, admin, {
  name: 'dead',
  kubeconfig: sandbox.kubeconfig.replace(sandbox.apiUrl, `https://${address}`),
  ingress: { address },
})
const api = await buildServer(ctx)
after(() => api.close())
const url = await api.listen({ host: '127.0.0.1', port: 0 })
const http = httpOf(url, await tokenFor(ctx, null))

test('a dead cluster never slows another', async (t) => {
  for (const name of ['one', 'two', 'three', 'four']) {
    await put(ctx, `${name}.shop.test`, { clusters: ['dead'] })
  }
  await put(ctx, 'both.shop.test', { clusters: ['dead', 'sandbox'] })
  const worker = await startWorker(ctx, 2)
  t.after(async () => {
    closeHole()
    await worker.stop()
  })
  await until('the dead cluster is being asked', () => (asked.size > 0 ? true : undefined))
  const begun = Date.now()
  await put(ctx, 'living.shop.test')
  for (const name of ['both.shop.test', 'living.shop.test']) {
    await until(`${name} is Synced where that can be`, async () => {
      const { clusters } = (await read(ctx, name)).status
      const living = clusters.find(({ cluster }) => cluster === 'sandbox')
      return living?.status === 'Synced' ? true : undefined
    })
  }
  t.diagnostic(`Synced after ${(Date.now() - begun) / 1000} s`)
})

test('every cluster is looked at again and again', async () => {
  assert.equal(await recheckClusters(ctx), 2)
  const jobs = await ctx.db.read.$queryRaw<readonly { queue_name: string }[]>(sql`
    select queue_name from graphile_worker.jobs where task_identifier = 'cluster.check'`)
  assert.equal(new Set(jobs.map(({ queue_name }) => queue_name)).size, 2)
})

test('a cluster that carries hosts is removed by force alone, and then blocks nobody', async () => {
  await removeHost(ctx, admin, { tenant: 'shop', name: 'one.shop.test' })
  assert.notEqual((await read(ctx, 'one.shop.test')).removedAt, null)
  const refused = await http.delete('/v1/clusters/dead').expect(409)
  assert.match(refused.body.type, /cluster-in-use$/)
  assert.match(refused.body.detail, /force=true/)
  assert.equal((await read(ctx, 'both.shop.test')).status.clusters.length, 2)
  const where = { name: 'both.shop.test', cluster: { name: 'dead' } }
  const gateway = { kind: 'Gateway', namespace: 'istio-system', name: 'both' }
  await ctx.db.read.placement.updateMany({ where, data: { objects: [gateway] } })

  await http.delete('/v1/clusters/dead?force=true').expect(204)
  await http.get('/v1/clusters/dead').expect(404)
  await http.delete('/v1/clusters/dead?force=true').expect(404)
  await assert.rejects(read(ctx, 'one.shop.test'), isProblem('host-unknown'))
  const both = await read(ctx, 'both.shop.test')
  assert.deepEqual(both.clusters, ['sandbox'])
  assert.deepEqual(
    both.status.clusters.map(({ cluster }) => cluster),
    ['sandbox'],
  )
  const two = await read(ctx, 'two.shop.test')
  assert.deepEqual([two.clusters, two.status.clusters, two.removedAt], [[], [], null])

  const { body } = await http.get('/v1/audit-events?action=host.abandoned').expect(200)
  type Told = { readonly subject: { readonly name: string }; readonly changes: object }
  const told = new Map(body.items.map(({ subject, changes }: Told) => [subject.name, changes]))
  assert.equal(told.size, 5)
  const none = { cluster: 'dead', objects: [] }
  assert.deepEqual(told.get('one.shop.test'), { ...none, gone: true })
  assert.deepEqual(told.get('two.shop.test'), { ...none, gone: false })
  const left = ['Gateway istio-system/both']
  assert.deepEqual(told.get('both.shop.test'), { cluster: 'dead', objects: left, gone: false })
  const removed = await http.get('/v1/audit-events?action=cluster.removed').expect(200)
  assert.deepEqual(removed.body.items[0].changes, { force: true })
})

test('a host whose clusters are all gone is placed anew by the same words as before', async () => {
  const { kubeconfig } = sandbox
  const ingress = { address: `127.0.0.1:${sandbox.tlsPort}` }
  await createCluster(ctx, admin, { name: 'dead', kubeconfig, ingress })
  await put(ctx, 'two.shop.test', { clusters: ['dead'] })
  const { clusters } = (await read(ctx, 'two.shop.test')).status
  assert.deepEqual(
    clusters.map(({ cluster, status }) => [cluster, status]),
    [['dead', 'Pending']],
  )
})

test('removing a cluster by force is for platform admins', async () => {
  const tenantAdmin = httpOf(url, await tokenFor(ctx, 'shop'))
  const operator = httpOf(url, await tokenFor(ctx, null, 'operator'))
  await tenantAdmin.delete('/v1/clusters/sandbox?force=true').expect(403)
  await operator.delete('/v1/clusters/sandbox?force=true').expect(403)
})
