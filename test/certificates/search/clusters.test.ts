import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { listAllCertificates, listCertificates } from '../../../src/certificates/find.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { expiries } from '../../../src/certificates/search/expiries.ts'
import { certificateGroups } from '../../../src/certificates/search/groups.ts'
import { uploadCertificate } from '../../../src/certificates/uploads/take.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { sql, type Tx } from '../../../src/core/database/db.ts'
import type { HostSpec } from '../../../src/hosts/host.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { deadKubeconfig } from '../../support/kubeconfig.ts'
import { leafFor, openElsewhere, sentOf } from '../uploads/elsewhere.ts'

// Which certificates there are on a cluster: those that its hosts use, and of their own those that they used before.

const ctx = await openTestContext()
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
const tenant = 'shop'
const place = { namespaces: ['test'], defaultAuthority: 'house' }
await createTenant(ctx, admin, { ...place, name: tenant, domains: ['shop.test'] })

const kubeconfig = deadKubeconfig()
for (const name of ['east', 'west']) {
  const ingress = { address: '127.0.0.1:1' }
  const internal = { selector: { istio: 'internal' }, address: '127.0.0.1:2' }
  await createCluster(ctx, admin, { name, kubeconfig, ingress, ingresses: { internal } })
}

const routes = [{ to: { service: 'web', namespace: 'test', port: 80 } }]

type Asked = Pick<HostSpec, 'clusters'> & Partial<Pick<HostSpec, 'certificate'>>

/** Puts a host, and has it certified; answers the id of its certificate. */
async function put(name: string, spec: Asked): Promise<string> {
  await putHost(ctx, admin, { tenant, name, spec: { routes, ...spec } })
  return await certify(name)
}

async function certify(name: string): Promise<string> {
  const host = async () => await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  await certifyHost(ctx, (await host()).id)
  return (await host()).certificateId ?? ''
}

const another = { keyAlgorithm: 'ECDSA_P384' } as const

/** The ids of what is found on a cluster, by the list in each of its orders, and counted. */
async function on(cluster: string): Promise<readonly string[]> {
  const inOrder = async (sort: 'notAfter' | '-notAfter' | 'createdAt') =>
    (await listAllCertificates(ctx, admin, { cluster, sort })).items.map(({ id }) => id)
  const found = await inOrder('notAfter')
  assert.deepEqual(await inOrder('-notAfter'), found.toReversed())
  assert.deepEqual(new Set(await inOrder('createdAt')), new Set(found))
  const own = await listCertificates(ctx, admin, { tenant, cluster })
  assert.deepEqual(
    own.items.map(({ id }) => id),
    found,
  )
  const steps = await expiries(ctx, admin, { cluster, within: 'P400D', by: 'week' })
  assert.equal(
    steps.reduce((sum, { count }) => sum + count, 0),
    found.length,
  )
  const groups = await certificateGroups(ctx, admin, { by: 'cluster' })
  assert.equal(groups.find(({ key }) => key === cluster)?.count ?? 0, found.length)
  return found.toSorted()
}

/** Takes a host off an ingress, as the worker does when the objects are gone. */
async function leave(name: string, cluster: string, ingress = 'default'): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    await tx.placement.deleteMany({ where: { name, cluster: { name: cluster }, ingress } })
  })
}

const { root, between } = await openElsewhere()
const leaf = await leafFor(between, ['*.shop.test'])
const request = { ...sentOf(leaf, between, root), trustAnchor: root.pem }
const { certificate: taken } = await uploadCertificate(ctx, admin, { tenant, request })
const uploaded = taken.id

test('what a host uses is on its clusters, and so is what it used before', async () => {
  const first = await put('www.shop.test', { clusters: ['east'] })
  assert.deepEqual(await on('east'), [first])
  const second = await put('www.shop.test', { clusters: ['east'], certificate: another })
  assert.notEqual(second, first)
  assert.deepEqual(await on('east'), [first, second].toSorted())
  await put('www.shop.test', { clusters: ['east', 'west'], certificate: another })
  assert.deepEqual(await on('west'), [first, second].toSorted())
  await leave('www.shop.test', 'east')
  assert.deepEqual(await on('east'), [])
  assert.deepEqual(await on('west'), [first, second].toSorted())
  await leave('www.shop.test', 'west')
})

test('a host that comes in by two ingresses is there until it has left both', async () => {
  const used = await put('two.shop.test', { clusters: ['east', 'east/internal'] })
  assert.deepEqual(await on('east'), [used])
  await leave('two.shop.test', 'east', 'internal')
  assert.deepEqual(await on('east'), [used])
  await leave('two.shop.test', 'east')
  assert.deepEqual(await on('east'), [])
})

test('what was uploaded is there once, until no host uses it any more', async () => {
  const certificate = { uploaded }
  assert.equal(await put('a.shop.test', { clusters: ['east'], certificate }), uploaded)
  assert.equal(await put('b.shop.test', { clusters: ['east', 'west'], certificate }), uploaded)
  assert.deepEqual([await on('east'), await on('west')], [[uploaded], [uploaded]])
  const own = await put('a.shop.test', { clusters: ['east'] })
  assert.deepEqual(await on('east'), [own, uploaded].toSorted())
  const other = await put('b.shop.test', { clusters: ['east', 'west'] })
  assert.deepEqual([await on('east'), await on('west')], [[own, other].toSorted(), [other]])
  for (const [name, cluster] of [
    ['a.shop.test', 'east'],
    ['b.shop.test', 'east'],
    ['b.shop.test', 'west'],
  ] as const) {
    await leave(name, cluster)
  }
  assert.deepEqual([await on('east'), await on('west')], [[], []])
})

test('a host that comes to a cluster while it gets another certificate has that one there', async () => {
  const name = 'late.shop.test'
  const first = await put(name, { clusters: ['east'] })
  const spec = { routes, clusters: ['east'], certificate: another }
  await putHost(ctx, admin, { tenant, name, spec })
  let certifying = Promise.resolve('')
  await ctx.db.transaction(async (tx) => {
    // What PUT does: the host's row, then the placement.
    await tx.host.updateMany({ where: { name }, data: { updatedAt: ctx.now() } })
    certifying = certify(name)
    await waitsForLock(tx)
    const { id, tenantId, ...rest } = await tx.placement.findFirstOrThrow({ where: { name } })
    const { id: clusterId } = await tx.cluster.findFirstOrThrow({ where: { name: 'west' } })
    const { hostId, status, since } = rest
    await tx.placement.create({
      data: { id: flipped(id), tenantId, hostId, clusterId, name, wanted: true, status, since },
    })
  })
  const second = await certifying
  assert.notEqual(second, first)
  assert.deepEqual(await on('west'), [first, second].toSorted())
})

/** Another id. */
const flipped = (id: string) => id.replace(/.$/, (last) => (last === '0' ? '1' : '0'))

/** Resolves when someone else waits for a row that this transaction has. */
async function waitsForLock(tx: Tx): Promise<void> {
  for (;;) {
    const [row] = await tx.$queryRaw<readonly { readonly waiting: number }[]>(sql`
      select count(*)::int as waiting from pg_locks
      where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))`)
    if ((row?.waiting ?? 0) > 0) return
  }
}
