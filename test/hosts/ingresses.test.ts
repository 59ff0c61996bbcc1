import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { changeCluster, createCluster } from '../../src/clusters/register.ts'
import { getHost } from '../../src/hosts/find.ts'
import { putHost } from '../../src/hosts/put.ts'
import { removeHost } from '../../src/hosts/remove.ts'
import { Problem } from '../../src/shared/problem.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { admin, openTestContext } from '../support/context.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'
import { fieldsOf, isProblem } from '../support/problem.ts'

const ctx = await openTestContext()

const kubeconfig = deadKubeconfig()
const internal = { selector: { istio: 'internal' }, address: '127.0.0.1:2' }
await createCluster(ctx, admin, {
  name: 'prod',
  kubeconfig,
  ingress: { address: '127.0.0.1:1' },
  ingresses: { internal },
})
await createAuthority(ctx, admin, {
  name: 'house',
  kind: 'root',
  subject: { commonName: 'house' },
})
const base = { namespaces: ['test'], defaultAuthority: 'house' }
await createTenant(ctx, admin, { ...base, name: 'shop', domains: ['shop.test', 'fair.test'] })
await createTenant(ctx, admin, { ...base, name: 'rival', domains: ['fair.test'] })

const routes = [{ to: { service: 'web', namespace: 'test', port: 80 } }]

async function put(name: string, clusters: string[], tenant = 'shop') {
  const { host } = await putHost(ctx, admin, { tenant, name, spec: { routes, clusters } })
  return host.status.clusters.map(({ cluster, ingress }) => `${cluster}/${ingress}`)
}

const remove = (ingress: string) =>
  changeCluster(ctx, admin, { name: 'prod', patch: { ingresses: { [ingress]: null } } })

test('a host comes in by the ingresses that it names, and by no others', async () => {
  assert.deepEqual(await put('www.shop.test', ['prod/internal', 'prod/default']), [
    'prod/default',
    'prod/internal',
  ])
  const { clusters } = await getHost(ctx, admin, { tenant: 'shop', name: 'www.shop.test' })
  assert.deepEqual(clusters, ['prod/internal', 'prod'])
  await put('www.shop.test', ['prod/internal'])
  const left = await ctx.db.read.placement.findMany({ where: { name: 'www.shop.test' } })
  assert.deepEqual(left.map(({ ingress, wanted }) => [ingress, wanted]).toSorted(), [
    ['default', false],
    ['internal', true],
  ])
})

test('an ingress that a cluster has not, or that is named twice, is refused by its place', async () => {
  assert.deepEqual(
    await fieldsOf(
      'host-refused',
      put('no.shop.test', ['prod', 'prod/lobby', 'prod/default', 'prod/constructor']),
    ),
    ['/clusters/1', '/clusters/2', '/clusters/3'],
  )
})

test('a name is taken on one ingress, and free on another', async () => {
  await put('*.fair.test', ['prod'])
  await assert.rejects(put('www.fair.test', ['prod'], 'rival'), isProblem('host-conflict'))
  assert.deepEqual(await put('www.fair.test', ['prod/internal'], 'rival'), ['prod/internal'])
  await assert.rejects(put('*.fair.test', ['prod', 'prod/internal']), (error: unknown) => {
    assert.ok(error instanceof Problem)
    assert.equal(error.type, 'host-conflict')
    assert.match(error.message, /"prod\/internal"/)
    return true
  })
})

test('an ingress that carries hosts is not taken away, and says how many', async () => {
  await put('one.shop.test', ['prod/internal'])
  await assert.rejects(remove('internal'), (error: unknown) => {
    assert.ok(error instanceof Problem)
    assert.equal(error.type, 'cluster-in-use')
    assert.match(error.message, /^\d hosts come in by ingress "internal"/)
    return true
  })
  await changeCluster(ctx, admin, {
    name: 'prod',
    patch: { ingresses: { lobby: { selector: { istio: 'lobby' }, address: '127.0.0.1:3' } } },
  })
  await put('two.shop.test', ['prod/lobby'])
  const where = { name: 'two.shop.test' }
  await assert.rejects(remove('lobby'), /One host comes in/)
  await ctx.db.read.placement.deleteMany({ where })
  const { ingresses } = await remove('lobby')
  assert.deepEqual(Object.keys(ingresses), ['internal'])
  await assert.rejects(put('two.shop.test', ['prod/lobby']), isProblem('host-refused'))
})

test('of a host put and an ingress taken away at the same moment, one is refused', async () => {
  for (let round = 0; round < 5; round++) {
    const lobby = { selector: { istio: 'lobby' }, address: '127.0.0.1:3' }
    await changeCluster(ctx, admin, { name: 'prod', patch: { ingresses: { lobby } } })
    const name = `race${round}.shop.test`
    const done = await Promise.allSettled([put(name, ['prod/lobby']), remove('lobby')])
    assert.equal(done.filter(({ status }) => status === 'fulfilled').length, 1)
    await ctx.db.read.placement.deleteMany({ where: { name } })
  }
})

test('ingresses that are one, and a name that is taken, are refused at registration', async () => {
  const make = (ingresses: Parameters<typeof createCluster>[2]['ingresses']) =>
    createCluster(ctx, admin, {
      ...{ name: 'other', kubeconfig, ingress: { address: '127.0.0.1:1' } },
      ...(ingresses === undefined ? {} : { ingresses }),
    })
  assert.deepEqual(await fieldsOf('request-invalid', make({ default: internal })), [
    '/ingresses/default',
  ])
  assert.deepEqual(await fieldsOf('request-invalid', make({ a: { address: '127.0.0.1:1' } })), [
    '/ingresses/a/selector',
    '/ingresses/a/address',
  ])
  const many = Array.from({ length: 16 }, (_, n) => [
    `i${n}`,
    { selector: { istio: `i${n}` }, address: `127.0.0.1:${n + 10}` },
  ])
  assert.deepEqual(await fieldsOf('request-invalid', make(Object.fromEntries(many))), [
    '/ingresses',
  ])
})

test('a cluster that is registered twice has a name once, on ingresses that are the same pods', async () => {
  const twin = { name: 'again', kubeconfig, ingress: { address: '127.0.0.1:3' } }
  await createCluster(ctx, admin, twin)
  const name = 'twice.fair.test'
  await put(name, ['prod'])
  await put(name, ['again/default'], 'rival')
  await removeHost(ctx, admin, { tenant: 'rival', name })
  await ctx.db.transaction((tx) => tx.placement.deleteMany({ where: { name, wanted: false } }))
  await ctx.db.transaction((tx) =>
    tx.cluster.updateMany({
      where: { name: { in: ['prod', 'again'] } },
      data: { uid: '0b0b0b0b-0000-4000-8000-000000000000' },
    }),
  )
  await assert.rejects(put(name, ['again'], 'rival'), isProblem('host-conflict'))
  assert.ok(await put(name, ['prod/internal'], 'rival'), 'other pods')
})
